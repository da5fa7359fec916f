//! The API's routes as methods.

use std::os::unix::net::UnixStream as StdStream;

use banger_guest_api::{Exec, SSH, STDIO_MUX};
use banger_model::Forward;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use super::{Body, Client, ClientError, Egress, Session, request, segment};
use crate::{
    DoctorReport, ForwardAdd, ForwardRemove, Image, LogQuery, LogSource, Progress, Prune, Pruned, SshAccess,
    SshStart, TrustGrant, TrustRecord, TrustRevoke, Unsaved, Version, Vm, VmCommit, VmCreate, VmFlow,
    VmForward, VmLearned, VmPort, VmRestart, VmSet, VmStart, VmStop, Wishes, WishesQuery, WorkspaceApplied,
    WorkspacePlan, WorkspacePulled, WorkspaceQuery, WorkspaceReport, WorkspaceRequest, WorkspaceStatus,
};

type Result<T> = std::result::Result<T, ClientError>;

/// A VM that is held.
#[derive(Debug)]
pub struct Hold {
    /// The connection is the response's.
    _response: Response<Incoming>,
}

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

    /// Ends the daemon; machines run on. Streams that go through it end only when `force` says so.
    pub async fn stop_daemon(&self, force: bool) -> Result<()> {
        let path = format!("/v1/daemon/stop?force={force}");
        self.order(Method::POST, &path).await
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

    /// Holds a VM that is removed on exit: it is removed when what this returns is dropped, or this program ends.
    pub async fn hold_vm(&self, name: &str) -> Result<Hold> {
        let response = self
            .send(request::<()>(Method::POST, &vm(name, "/hold"), None))
            .await?;
        Ok(Hold { _response: response })
    }

    /// Ends and removes a VM.
    pub async fn delete_vm(&self, name: &str) -> Result<()> {
        self.order(Method::DELETE, &vm(name, "")).await
    }

    /// Removes VMs that do not run.
    pub async fn prune(&self, prune: &Prune) -> Result<Pruned> {
        self.call(Method::POST, "/v1/vm/prune", Some(prune)).await
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

    /// All configurations of repositories that are trusted.
    pub async fn trusted(&self) -> Result<Vec<TrustRecord>> {
        self.get("/v1/trust").await
    }

    /// Trusts the configuration of a repository.
    pub async fn trust(&self, grant: &TrustGrant) -> Result<TrustRecord> {
        self.call(Method::POST, "/v1/trust", Some(grant)).await
    }

    /// Takes trust back, and gives from what.
    pub async fn distrust(&self, revoke: &TrustRevoke) -> Result<Vec<TrustRecord>> {
        self.call(Method::POST, "/v1/trust/revoke", Some(revoke)).await
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

    /// Merges the pulled work of a VM into the work tree on the host.
    pub async fn apply_workspace(&self, name: &str, query: &WorkspaceQuery) -> Result<WorkspaceApplied> {
        let path = vm(name, "/workspace/apply");
        self.call(Method::POST, &path, Some(query)).await
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
