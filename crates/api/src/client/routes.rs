//! The API's routes as methods.

use std::os::unix::net::UnixStream as StdStream;

use banger_guest_api::{Exec, SSH, STDIO_MUX};
use banger_model::Forward;
use bytes::Bytes;
use futures_util::Stream;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use super::{Body, Client, ClientError, Egress, Session, build, request, segment, streamed};
use crate::{
    AvailableImages, AvailableKernels, Catalog, CatalogAdd, DoctorReport, ForwardAdd, ForwardRemove, Image,
    ImageDiff, ImageDifference, ImageExport, ImageExported, ImageImport, ImageInspection, ImagePublish,
    ImagePull, ImagePulled, ImageRegister, ImageTag, ImageUpload, Kernel, KernelImport, KernelPublish,
    KernelPull, KernelPulled, LogQuery, LogSource, Progress, Prune, Pruned, Published, SshAccess, SshStart,
    Unsaved, Version, Vm, VmCommit, VmCreate, VmFlow, VmForward, VmLearned, VmPort, VmRestart, VmSet,
    VmStart, VmStop, Wishes, WishesQuery, WorkspacePlan, WorkspacePulled, WorkspaceQuery, WorkspaceReport,
    WorkspaceRequest, WorkspaceStatus,
};

type Result<T> = std::result::Result<T, ClientError>;

/// Every method fails with [`ClientError`]; with [`ClientError::Api`] when the daemon refuses.
#[expect(
    clippy::missing_errors_doc,
    reason = "the same for all of them, told once above"
)]
impl Client {
    /// Which daemon answers.
    pub async fn version(&self) -> Result<Version> {
        self.get("/v1/version").await
    }

    /// What the daemon finds out about its host.
    pub async fn doctor(&self) -> Result<DoctorReport> {
        self.get("/v1/doctor").await
    }

    /// Ends the daemon; machines run on.
    pub async fn stop_daemon(&self) -> Result<()> {
        self.order(Method::POST, "/v1/daemon/stop").await
    }

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

    /// Every VM.
    pub async fn vms(&self) -> Result<Vec<Vm>> {
        self.get("/v1/vms").await
    }

    /// One VM.
    pub async fn vm(&self, name: &str) -> Result<Vm> {
        self.get(&vm(name, "")).await
    }

    /// Creates a VM.
    pub async fn create_vm(&self, create: &VmCreate, on_progress: impl FnMut(Progress)) -> Result<Vm> {
        self.follow(request(Method::POST, "/v1/vms", Some(create)), on_progress)
            .await
    }

    /// Starts a VM.
    pub async fn start_vm(
        &self,
        name: &str,
        start: &VmStart,
        on_progress: impl FnMut(Progress),
    ) -> Result<Vm> {
        self.follow(
            request(Method::POST, &vm(name, "/start"), Some(start)),
            on_progress,
        )
        .await
    }

    /// Powers a VM off.
    pub async fn stop_vm(&self, name: &str, stop: &VmStop) -> Result<Vm> {
        self.call(Method::POST, &vm(name, "/stop"), Some(stop)).await
    }

    /// Ends a VM's machine now.
    pub async fn kill_vm(&self, name: &str) -> Result<Vm> {
        self.call::<(), _>(Method::POST, &vm(name, "/kill"), None).await
    }

    /// Stops and starts a VM.
    pub async fn restart_vm(
        &self,
        name: &str,
        restart: &VmRestart,
        on_progress: impl FnMut(Progress),
    ) -> Result<Vm> {
        self.follow(
            request(Method::POST, &vm(name, "/restart"), Some(restart)),
            on_progress,
        )
        .await
    }

    /// Changes a VM.
    pub async fn set_vm(&self, name: &str, set: &VmSet) -> Result<Vm> {
        self.call(Method::PATCH, &vm(name, ""), Some(set)).await
    }

    /// Ends and removes a VM.
    pub async fn delete_vm(&self, name: &str) -> Result<()> {
        self.order(Method::DELETE, &vm(name, "")).await
    }

    /// Removes VMs that do not run.
    pub async fn prune(&self, prune: &Prune) -> Result<Pruned> {
        self.call(Method::POST, "/v1/vm/prune", Some(prune)).await
    }

    /// Removes the images that no VM uses.
    pub async fn prune_images(&self, prune: &Prune) -> Result<Pruned> {
        self.call(Method::POST, "/v1/image/prune", Some(prune)).await
    }

    /// Removes the kernels that no VM uses and no image names.
    pub async fn prune_kernels(&self, prune: &Prune) -> Result<Pruned> {
        self.call(Method::POST, "/v1/kernel/prune", Some(prune)).await
    }

    /// Removes what can be made again.
    pub async fn prune_cache(&self, prune: &Prune) -> Result<Pruned> {
        self.call(Method::POST, "/v1/cache/prune", Some(prune)).await
    }

    /// Makes an image of what a VM has changed.
    pub async fn commit_vm(
        &self,
        name: &str,
        commit: &VmCommit,
        on_progress: impl FnMut(Progress),
    ) -> Result<Image> {
        let request = request(Method::POST, &vm(name, "/commit"), Some(commit));
        self.follow(request, on_progress).await
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

    /// Starts a command in a VM.
    pub async fn exec(&self, name: &str, exec: &Exec) -> Result<Session> {
        let request = request(Method::POST, &vm(name, "/exec"), Some(exec));
        Ok(Session::new(self.upgraded(request, STDIO_MUX).await?))
    }

    /// What SSH clients need on this host.
    pub async fn ssh_access(&self) -> Result<SshAccess> {
        self.get("/v1/ssh").await
    }

    /// Opens a stream on which a VM speaks SSH.
    ///
    /// Gives the connection, which blocks, and what was already received on it.
    pub async fn ssh(&self, name: &str, start: &SshStart) -> Result<(StdStream, Bytes)> {
        let request = request(Method::POST, &vm(name, "/ssh"), Some(start));
        let upgraded = self.upgraded(request, SSH).await?;
        let parts = upgraded.downcast::<TokioIo<UnixStream>>();
        let parts = parts.map_err(|_| ClientError::Ended)?;
        let stream = parts.io.into_inner().into_std().map_err(ClientError::Stream)?;
        stream.set_nonblocking(false).map_err(ClientError::Stream)?;
        Ok((stream, parts.read_buf))
    }

    pub(super) async fn upgraded(
        &self,
        mut request: Request<Body>,
        protocol: &'static str,
    ) -> Result<Upgraded> {
        let headers = request.headers_mut();
        headers.insert(header::CONNECTION, header::HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, header::HeaderValue::from_static(protocol));
        let response = self.send(request).await?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(ClientError::Status(response.status().as_u16()));
        }
        hyper::upgrade::on(response).await.map_err(ClientError::Http)
    }

    /// What listens in a VM.
    pub async fn ports(&self, name: &str) -> Result<Vec<VmPort>> {
        self.get(&vm(name, "/ports")).await
    }

    /// The forwards of all VMs.
    pub async fn all_forwards(&self) -> Result<Vec<VmForward>> {
        self.get("/v1/forwards").await
    }

    /// The forwards of a VM.
    pub async fn forwards(&self, name: &str) -> Result<Vec<VmForward>> {
        self.get(&vm(name, "/forwards")).await
    }

    /// Adds a forward to a VM.
    pub async fn add_forward(&self, name: &str, add: &ForwardAdd) -> Result<VmForward> {
        self.call(Method::POST, &vm(name, "/forwards"), Some(add)).await
    }

    /// Removes forwards from a VM, and gives those that were.
    pub async fn remove_forwards(&self, name: &str, remove: &ForwardRemove) -> Result<Vec<Forward>> {
        self.call(Method::POST, &vm(name, "/forwards/remove"), Some(remove))
            .await
    }

    /// What a VM reached and was refused, the latest last.
    pub async fn egress(&self, name: &str) -> Result<Vec<VmFlow>> {
        self.get(&vm(name, "/egress")).await
    }

    /// The same, and what comes after that.
    pub async fn follow_egress(&self, name: &str) -> Result<Egress> {
        let path = vm(name, "/egress?follow=true");
        let response = self.send(request::<()>(Method::GET, &path, None)).await?;
        Ok(Egress::new(response.into_body()))
    }

    /// What a VM reached in mode `learn`, as rules.
    pub async fn learned(&self, name: &str) -> Result<VmLearned> {
        self.get(&vm(name, "/egress/learned")).await
    }

    /// A VM's log; it goes on as long as the query says.
    pub async fn logs(&self, name: &str, query: &LogQuery) -> Result<Log> {
        let source = match query.source {
            LogSource::Console => "console",
            LogSource::Vmm => "vmm",
        };
        let path = format!("{}?source={source}&follow={}", vm(name, "/logs"), query.follow);
        let response = self.send(request::<()>(Method::GET, &path, None)).await?;
        Ok(Log(response.into_body()))
    }

    /// What placing a workspace would place.
    pub async fn plan_workspace(&self, request: &WorkspaceRequest) -> Result<WorkspacePlan> {
        self.call(Method::POST, "/v1/workspace/plan", Some(request)).await
    }

    /// What the repository around a path asks of its VM.
    pub async fn wishes(&self, query: &WishesQuery) -> Result<Wishes> {
        self.call(Method::POST, "/v1/repository/wishes", Some(query))
            .await
    }

    /// What a VM has made of a workspace.
    pub async fn workspace_status(&self, name: &str, query: &WorkspaceQuery) -> Result<WorkspaceStatus> {
        self.get(&workspace(name, "", query)).await
    }

    /// What a VM has changed of a workspace, as a patch.
    pub async fn workspace_patch(&self, name: &str, query: &WorkspaceQuery) -> Result<Log> {
        let path = workspace(name, "/patch", query);
        let response = self.send(request::<()>(Method::GET, &path, None)).await?;
        Ok(Log(response.into_body()))
    }

    /// Brings the work of a VM back.
    pub async fn pull_workspace(
        &self,
        name: &str,
        query: &WorkspaceQuery,
        on_progress: impl FnMut(Progress),
    ) -> Result<WorkspacePulled> {
        let request = request(Method::POST, &vm(name, "/workspace/pull"), Some(query));
        self.follow(request, on_progress).await
    }

    /// What of a VM's work was not brought back.
    pub async fn unsaved_work(&self, name: &str) -> Result<Unsaved> {
        self.get(&vm(name, "/workspace/unsaved")).await
    }

    /// Places a workspace in a VM.
    pub async fn place_workspace(
        &self,
        name: &str,
        workspace: &WorkspaceRequest,
        on_progress: impl FnMut(Progress),
    ) -> Result<WorkspaceReport> {
        self.follow(
            request(Method::POST, &vm(name, "/workspace"), Some(workspace)),
            on_progress,
        )
        .await
    }
}

fn vm(name: &str, part: &str) -> String {
    format!("/v1/vms/{}{part}", segment(name))
}

fn workspace(name: &str, part: &str, query: &WorkspaceQuery) -> String {
    let mut path = format!("{}{part}?color={}", vm(name, "/workspace"), query.color);
    for (key, value) in [("path", &query.path), ("base", &query.base)] {
        if let Some(value) = value {
            path.push_str(&format!("&{key}={}", segment(value)));
        }
    }
    path
}

/// A log as it comes.
#[derive(Debug)]
pub struct Log(Incoming);

impl Log {
    /// The next bytes; `None` at the end.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        while let Some(frame) = self.0.frame().await {
            if let Ok(data) = frame.map_err(ClientError::Http)?.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }
}
