//! The routes of images, kernels and their catalogs as methods.

use bytes::Bytes;
use futures_util::Stream;
use hyper::Method;

use super::{Client, ClientError, build, request, segment, streamed};
use crate::{
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
        self.get("/v1/kernels").await
    }

    /// One kernel.
    pub async fn kernel(&self, name: &str) -> Result<Kernel> {
        self.get(&format!("/v1/kernels/{}", segment(name))).await
    }

    /// Imports a kernel.
    pub async fn import_kernel(
        &self,
        import: &KernelImport,
        on_progress: impl FnMut(Progress),
    ) -> Result<Kernel> {
        self.follow(request(Method::POST, "/v1/kernels", Some(import)), on_progress)
            .await
    }

    /// Removes a kernel.
    pub async fn delete_kernel(&self, name: &str) -> Result<()> {
        self.order(Method::DELETE, &format!("/v1/kernels/{}", segment(name)))
            .await
    }

    /// Every catalog.
    pub async fn catalogs(&self) -> Result<Vec<Catalog>> {
        self.get("/v1/catalogs").await
    }

    /// Adds a catalog.
    pub async fn add_catalog(&self, add: &CatalogAdd) -> Result<Catalog> {
        self.call(Method::POST, "/v1/catalogs", Some(add)).await
    }

    /// Removes a catalog.
    pub async fn remove_catalog(&self, name: &str) -> Result<()> {
        self.order(Method::DELETE, &format!("/v1/catalogs/{}", segment(name)))
            .await
    }

    /// The kernels of every catalog.
    pub async fn available_kernels(&self) -> Result<AvailableKernels> {
        self.get("/v1/catalog/kernels").await
    }

    /// Pulls a kernel from a catalog.
    pub async fn pull_kernel(
        &self,
        pull: &KernelPull,
        on_progress: impl FnMut(Progress),
    ) -> Result<KernelPulled> {
        let path = "/v1/catalog/kernels/pull";
        self.follow(request(Method::POST, path, Some(pull)), on_progress)
            .await
    }

    /// Makes a catalog of kernels.
    pub async fn publish_kernels(
        &self,
        publish: &KernelPublish,
        on_progress: impl FnMut(Progress),
    ) -> Result<Published> {
        let path = "/v1/catalog/kernels/publish";
        self.follow(request(Method::POST, path, Some(publish)), on_progress)
            .await
    }

    /// The images of every catalog.
    pub async fn available_images(&self) -> Result<AvailableImages> {
        self.get("/v1/catalog/images").await
    }

    /// Makes a catalog of images.
    pub async fn publish_images(
        &self,
        publish: &ImagePublish,
        on_progress: impl FnMut(Progress),
    ) -> Result<Published> {
        let path = "/v1/catalog/images/publish";
        self.follow(request(Method::POST, path, Some(publish)), on_progress)
            .await
    }

    /// Every image.
    pub async fn images(&self) -> Result<Vec<Image>> {
        self.get("/v1/images").await
    }

    /// One image.
    pub async fn image(&self, name: &str) -> Result<Image> {
        self.get(&format!("/v1/images/{}", segment(name))).await
    }

    /// Imports a tar or directory that the daemon reads.
    pub async fn import_image(
        &self,
        import: &ImageImport,
        on_progress: impl FnMut(Progress),
    ) -> Result<Image> {
        self.follow(request(Method::POST, "/v1/images", Some(import)), on_progress)
            .await
    }

    /// Imports a tar that is sent as it comes.
    pub async fn upload_image(
        &self,
        name: &str,
        query: &ImageUpload,
        tar: impl Stream<Item = std::io::Result<Bytes>> + Send + Sync + 'static,
        on_progress: impl FnMut(Progress),
    ) -> Result<Image> {
        let mut path = format!("/v1/images/{}?force={}", segment(name), query.force);
        if let Some(kernel) = &query.kernel {
            path.push_str(&format!("&kernel={}", segment(kernel.as_str())));
        }
        self.follow(build(Method::PUT, &path, streamed(tar)), on_progress)
            .await
    }

    /// Pulls an image.
    pub async fn pull_image(
        &self,
        pull: &ImagePull,
        on_progress: impl FnMut(Progress),
    ) -> Result<ImagePulled> {
        self.follow(request(Method::POST, "/v1/image/pull", Some(pull)), on_progress)
            .await
    }

    /// Writes an image into an OCI archive.
    pub async fn export_image(
        &self,
        name: &str,
        export: &ImageExport,
        on_progress: impl FnMut(Progress),
    ) -> Result<ImageExported> {
        let path = format!("/v1/images/{}/export", segment(name));
        self.follow(request(Method::POST, &path, Some(export)), on_progress)
            .await
    }

    /// What an image has that another has not.
    pub async fn diff_image(&self, name: &str, diff: &ImageDiff) -> Result<Vec<ImageDifference>> {
        let mut path = format!("/v1/images/{}/diff", segment(name));
        if let Some(other) = &diff.other {
            path.push_str(&format!("?other={}", segment(other.as_str())));
        }
        self.get(&path).await
    }

    /// Takes an ext4 file as an image.
    pub async fn register_image(&self, register: &ImageRegister) -> Result<Image> {
        self.call(Method::POST, "/v1/image/register", Some(register))
            .await
    }

    /// Copies a registered image into the store.
    pub async fn promote_image(&self, name: &str, on_progress: impl FnMut(Progress)) -> Result<Image> {
        let path = format!("/v1/images/{}/promote", segment(name));
        self.follow(request::<()>(Method::POST, &path, None), on_progress)
            .await
    }

    /// Removes an image.
    pub async fn delete_image(&self, name: &str) -> Result<()> {
        self.order(Method::DELETE, &format!("/v1/images/{}", segment(name)))
            .await
    }

    /// Removes the images that no VM uses.
    pub async fn prune_images(&self, prune: &Prune) -> Result<Pruned> {
        self.call(Method::POST, "/v1/image/prune", Some(prune)).await
    }

    /// Removes the kernels that no VM uses and no image names.
    pub async fn prune_kernels(&self, prune: &Prune) -> Result<Pruned> {
        self.call(Method::POST, "/v1/kernel/prune", Some(prune)).await
    }

    /// Makes an image the one that is taken when none is named.
    pub async fn set_default_image(&self, name: &str) -> Result<Image> {
        let path = format!("/v1/images/{}/default", segment(name));
        self.call(Method::PUT, &path, None::<&()>).await
    }

    /// Makes a kernel the one that is taken when none is named.
    pub async fn set_default_kernel(&self, name: &str) -> Result<Kernel> {
        let path = format!("/v1/kernels/{}/default", segment(name));
        self.call(Method::PUT, &path, None::<&()>).await
    }

    /// Gives an image a second name.
    pub async fn tag_image(&self, name: &str, tag: &ImageTag) -> Result<Image> {
        let path = format!("/v1/images/{}/tag", segment(name));
        self.call(Method::POST, &path, Some(tag)).await
    }

    /// An image with its documents.
    pub async fn inspect_image(&self, name: &str) -> Result<ImageInspection> {
        self.get(&format!("/v1/images/{}/inspect", segment(name))).await
    }
}
