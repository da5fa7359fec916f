//! The routes of images, kernels and their catalogs as methods.

use bytes::Bytes;
use futures_util::Stream;

use crate::call::At;
use crate::client::Client;
use crate::error::ClientError;
use banger_api::routes::{
    AddCatalog, DeleteImage, DeleteKernel, DiffImage, ExportImage, GetImage, GetKernel, ImportImage,
    ImportKernel, InspectImage, ListCatalogImages, ListCatalogKernels, ListCatalogs, ListImages, ListKernels,
    PromoteImage, PruneImages, PruneKernels, PublishImages, PublishKernels, PullImage, PullKernel,
    RegisterImage, RemoveCatalog, SetDefaultImage, SetDefaultKernel, TagImage, UploadImage,
};
use banger_api::{
    AvailableImages, AvailableKernels, Catalog, CatalogAdd, Image, ImageDiff, ImageDifference, ImageExport,
    ImageExported, ImageImport, ImageInspection, ImagePublish, ImagePull, ImagePulled, ImageRegister,
    ImageTag, ImageUpload, Kernel, KernelImport, KernelPublish, KernelPull, KernelPulled, Progress, Prune,
    Pruned, Published,
};

type Result<T> = std::result::Result<T, ClientError>;

/// Every method fails with [`ClientError`]; with [`ClientError::Api`] when the daemon refuses.
#[expect(
    clippy::missing_errors_doc,
    reason = "the same for all of them, told once above"
)]
impl Client {
    /// Every kernel.
    pub async fn kernels(&self) -> Result<Vec<Kernel>> {
        self.value(ListKernels.at([])).await
    }

    /// One kernel.
    pub async fn kernel(&self, name: &str) -> Result<Kernel> {
        self.value(GetKernel.at([name])).await
    }

    /// Imports a kernel.
    pub async fn import_kernel(
        &self,
        import: &KernelImport,
        on_progress: impl FnMut(Progress),
    ) -> Result<Kernel> {
        self.work(ImportKernel.at([]).json(import), on_progress).await
    }

    /// Removes a kernel.
    pub async fn delete_kernel(&self, name: &str) -> Result<()> {
        self.open(DeleteKernel.at([name])).await.map(drop)
    }

    /// Every catalog.
    pub async fn catalogs(&self) -> Result<Vec<Catalog>> {
        self.value(ListCatalogs.at([])).await
    }

    /// Adds a catalog.
    pub async fn add_catalog(&self, add: &CatalogAdd) -> Result<Catalog> {
        self.value(AddCatalog.at([]).json(add)).await
    }

    /// Removes a catalog.
    pub async fn remove_catalog(&self, name: &str) -> Result<()> {
        self.open(RemoveCatalog.at([name])).await.map(drop)
    }

    /// The kernels of every catalog.
    pub async fn available_kernels(&self) -> Result<AvailableKernels> {
        self.value(ListCatalogKernels.at([])).await
    }

    /// Pulls a kernel from a catalog.
    pub async fn pull_kernel(
        &self,
        pull: &KernelPull,
        on_progress: impl FnMut(Progress),
    ) -> Result<KernelPulled> {
        self.work(PullKernel.at([]).json(pull), on_progress).await
    }

    /// Makes a catalog of kernels.
    pub async fn publish_kernels(
        &self,
        publish: &KernelPublish,
        on_progress: impl FnMut(Progress),
    ) -> Result<Published> {
        self.work(PublishKernels.at([]).json(publish), on_progress).await
    }

    /// The images of every catalog.
    pub async fn available_images(&self) -> Result<AvailableImages> {
        self.value(ListCatalogImages.at([])).await
    }

    /// Makes a catalog of images.
    pub async fn publish_images(
        &self,
        publish: &ImagePublish,
        on_progress: impl FnMut(Progress),
    ) -> Result<Published> {
        self.work(PublishImages.at([]).json(publish), on_progress).await
    }

    /// Every image.
    pub async fn images(&self) -> Result<Vec<Image>> {
        self.value(ListImages.at([])).await
    }

    /// One image.
    pub async fn image(&self, name: &str) -> Result<Image> {
        self.value(GetImage.at([name])).await
    }

    /// Imports a tar or directory that the daemon reads.
    pub async fn import_image(
        &self,
        import: &ImageImport,
        on_progress: impl FnMut(Progress),
    ) -> Result<Image> {
        self.work(ImportImage.at([]).json(import), on_progress).await
    }

    /// Imports a tar that is sent as it comes.
    pub async fn upload_image(
        &self,
        name: &str,
        query: &ImageUpload,
        tar: impl Stream<Item = std::io::Result<Bytes>> + Send + Sync + 'static,
        on_progress: impl FnMut(Progress),
    ) -> Result<Image> {
        let call = UploadImage.at([name]).query(query).chunks(tar);
        self.work(call, on_progress).await
    }

    /// Pulls an image.
    pub async fn pull_image(
        &self,
        pull: &ImagePull,
        on_progress: impl FnMut(Progress),
    ) -> Result<ImagePulled> {
        self.work(PullImage.at([]).json(pull), on_progress).await
    }

    /// Writes an image into an OCI archive.
    pub async fn export_image(
        &self,
        name: &str,
        export: &ImageExport,
        on_progress: impl FnMut(Progress),
    ) -> Result<ImageExported> {
        self.work(ExportImage.at([name]).json(export), on_progress).await
    }

    /// What an image has that another has not.
    pub async fn diff_image(&self, name: &str, diff: &ImageDiff) -> Result<Vec<ImageDifference>> {
        self.value(DiffImage.at([name]).query(diff)).await
    }

    /// Takes an ext4 file as an image.
    pub async fn register_image(&self, register: &ImageRegister) -> Result<Image> {
        self.value(RegisterImage.at([]).json(register)).await
    }

    /// Copies a registered image into the store.
    pub async fn promote_image(&self, name: &str, on_progress: impl FnMut(Progress)) -> Result<Image> {
        self.work(PromoteImage.at([name]), on_progress).await
    }

    /// Removes an image.
    pub async fn delete_image(&self, name: &str) -> Result<()> {
        self.open(DeleteImage.at([name])).await.map(drop)
    }

    /// Removes the images that no VM uses.
    pub async fn prune_images(&self, prune: &Prune) -> Result<Pruned> {
        self.value(PruneImages.at([]).json(prune)).await
    }

    /// Removes the kernels that no VM uses and no image names.
    pub async fn prune_kernels(&self, prune: &Prune) -> Result<Pruned> {
        self.value(PruneKernels.at([]).json(prune)).await
    }

    /// Makes an image the one that is taken when none is named.
    pub async fn set_default_image(&self, name: &str) -> Result<Image> {
        self.value(SetDefaultImage.at([name])).await
    }

    /// Makes a kernel the one that is taken when none is named.
    pub async fn set_default_kernel(&self, name: &str) -> Result<Kernel> {
        self.value(SetDefaultKernel.at([name])).await
    }

    /// Gives an image a second name.
    pub async fn tag_image(&self, name: &str, tag: &ImageTag) -> Result<Image> {
        self.value(TagImage.at([name]).json(tag)).await
    }

    /// An image with its documents.
    pub async fn inspect_image(&self, name: &str) -> Result<ImageInspection> {
        self.value(InspectImage.at([name])).await
    }
}
