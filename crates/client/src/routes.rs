//! The API's routes as methods.

use std::os::unix::net::UnixStream as StdStream;

use banger_api::routes::Route;
use banger_api::routes::switch::{self, StdioMux};
use banger_api::routes::{
    AddForward, ApplyWorkspace, CommitVm, CreateVm, DeleteVm, ExecVm, GetDiskUsage, GetDoctor,
    GetLearnedEgress, GetRepositoryConfig, GetSshAccess, GetUnsavedWork, GetVersion, GetVm, GetVmLog,
    GetWorkspace, GetWorkspacePatch, GrantTrust, HoldVm, KillVm, ListAllForwards, ListEgress, ListForwards,
    ListPorts, ListTrust, ListVms, OpenSsh, PlanWorkspace, PrepareWorkspace, PruneCache, PruneVms,
    PullWorkspace, RemoveForwards, RenameVm, RestartVm, RevokeTrust, SetVm, StartVm, StopDaemon, StopVm,
    WaitForVm,
};
use banger_api::{
    DaemonStop, DiskUsage, DoctorReport, EgressQuery, ForwardAdd, ForwardRemove, Image, LogQuery, Progress,
    Prune, Pruned, SshAccess, SshStart, TrustGrant, TrustRecord, TrustRevoke, Unsaved, Version, Vm, VmCommit,
    VmCreate, VmCreated, VmDelete, VmFlow, VmForward, VmLearned, VmPort, VmRename, VmRenamed, VmRestart,
    VmSet, VmStart, VmStop, VmStopped, VmWait, VmWaited, VmWork, Wishes, WishesQuery, WorkspaceApplied,
    WorkspacePlan, WorkspacePulled, WorkspaceQuery, WorkspaceReport, WorkspaceRequest, WorkspaceStatus,
};
use banger_guest_api::Exec;
use banger_model::Forward;
use banger_wire::files::Handed;
use banger_wire::{Response, Switched, next_chunk};
use bytes::Bytes;

use crate::call::{At, Call};
use crate::client::Client;
use crate::error::ClientError;
use crate::sse::Egress;
use crate::stream::Session;

type Result<T> = std::result::Result<T, ClientError>;

/// A VM that is held, as long as this is kept.
#[derive(Debug)]
pub struct Hold {
    /// The connection is the response's.
    response: Response,
}

impl Hold {
    /// Returns when nothing holds the VM any more: the VM is gone, or its daemon is.
    pub async fn ended(&mut self) {
        while let Ok(Some(_)) = next_chunk(self.response.body_mut()).await {}
    }
}

/// Every method fails with [`ClientError`]; with [`ClientError::Api`] when the daemon refuses.
#[expect(
    clippy::missing_errors_doc,
    reason = "the same for all of them, told once above"
)]
impl Client {
    /// Which daemon answers.
    pub async fn version(&self) -> Result<Version> {
        self.value(GetVersion.at([])).await
    }

    /// What the daemon finds out about its host.
    pub async fn doctor(&self) -> Result<DoctorReport> {
        self.value(GetDoctor.at([])).await
    }

    /// Ends the daemon; machines run on. Streams that go through it end only when `force` says so.
    pub async fn stop_daemon(&self, force: bool) -> Result<()> {
        let call = StopDaemon.at([]).query(&DaemonStop { force });
        self.open(call).await.map(drop)
    }

    /// Every VM.
    pub async fn vms(&self) -> Result<Vec<Vm>> {
        self.value(ListVms.at([])).await
    }

    /// One VM.
    pub async fn vm(&self, name: &str) -> Result<Vm> {
        self.value(GetVm.at([name])).await
    }

    /// Creates a VM.
    pub async fn create_vm(&self, create: &VmCreate, on_progress: impl FnMut(Progress)) -> Result<VmCreated> {
        self.work(CreateVm.at([]).json(create), on_progress).await
    }

    /// Starts a VM.
    pub async fn start_vm(
        &self,
        name: &str,
        start: &VmStart,
        on_progress: impl FnMut(Progress),
    ) -> Result<Vm> {
        self.work(StartVm.at([name]).json(start), on_progress).await
    }

    /// Powers a VM off.
    pub async fn stop_vm(&self, name: &str, stop: &VmStop) -> Result<VmStopped> {
        self.value(StopVm.at([name]).json(stop)).await
    }

    /// Ends a VM's machine now.
    pub async fn kill_vm(&self, name: &str) -> Result<Vm> {
        self.value(KillVm.at([name])).await
    }

    /// Stops and starts a VM.
    pub async fn restart_vm(
        &self,
        name: &str,
        restart: &VmRestart,
        on_progress: impl FnMut(Progress),
    ) -> Result<Vm> {
        self.work(RestartVm.at([name]).json(restart), on_progress).await
    }

    /// Changes a VM.
    pub async fn set_vm(&self, name: &str, set: &VmSet) -> Result<Vm> {
        self.value(SetVm.at([name]).json(set)).await
    }

    /// Gives a VM that does not run another name.
    pub async fn rename_vm(&self, name: &str, rename: &VmRename) -> Result<VmRenamed> {
        self.value(RenameVm.at([name]).json(rename)).await
    }

    /// Waits until a VM is as the query says.
    pub async fn wait_for_vm(&self, name: &str, wait: &VmWait) -> Result<VmWaited> {
        self.value(WaitForVm.at([name]).query(wait)).await
    }

    /// Holds a VM that is removed on exit: it is removed when what this returns is dropped, or this program ends.
    pub async fn hold_vm(&self, name: &str) -> Result<Hold> {
        let response = self.open(HoldVm.at([name])).await?;
        Ok(Hold { response })
    }

    /// Deletes a VM. Without `force`, one that runs or has work that was not brought back is kept, with an error.
    pub async fn delete_vm(&self, name: &str, force: bool) -> Result<VmWork> {
        self.value(DeleteVm.at([name]).query(&VmDelete { force })).await
    }

    /// Removes VMs that do not run.
    pub async fn prune(&self, prune: &Prune) -> Result<Pruned> {
        self.value(PruneVms.at([]).json(prune)).await
    }

    /// Removes what can be made again.
    pub async fn prune_cache(&self, prune: &Prune) -> Result<Pruned> {
        self.value(PruneCache.at([]).json(prune)).await
    }

    /// What takes space, and what of that can be freed.
    pub async fn disk_usage(&self) -> Result<DiskUsage> {
        self.value(GetDiskUsage.at([])).await
    }

    /// Makes an image of what a VM has changed.
    pub async fn commit_vm(
        &self,
        name: &str,
        commit: &VmCommit,
        on_progress: impl FnMut(Progress),
    ) -> Result<Image> {
        self.work(CommitVm.at([name]).json(commit), on_progress).await
    }

    /// Starts a command in a VM.
    pub async fn exec(&self, name: &str, exec: &Exec) -> Result<Session> {
        self.session_on(ExecVm.at([name]).json(exec)).await
    }

    /// The session that a request asks for.
    pub(crate) async fn session_on<R>(&self, call: Call<R>) -> Result<Session>
    where
        R: Route<Reply = switch::Handed<StdioMux>>,
    {
        Session::on(self.handed(call).await?).map_err(ClientError::Stream)
    }

    /// What SSH clients need on this host.
    pub async fn ssh_access(&self) -> Result<SshAccess> {
        self.value(GetSshAccess.at([])).await
    }

    /// Opens a stream on which a VM speaks SSH.
    ///
    /// Gives the connection, which blocks, and what was already received on it.
    pub async fn ssh(&self, name: &str, start: &SshStart) -> Result<(StdStream, Bytes)> {
        let call = OpenSsh.at([name]).json(start);
        if !start.sshd {
            let Handed { agent, sent } = self.handed(call).await?;
            return Ok((agent, sent.into()));
        }
        // The image's own server is behind a tunnel, which the daemon has the other end of.
        let Switched { stream, sent } = self.upgraded(call.relayed()).await?;
        let stream = stream.into_std().map_err(ClientError::Stream)?;
        stream.set_nonblocking(false).map_err(ClientError::Stream)?;
        Ok((stream, sent))
    }

    /// What listens in a VM.
    pub async fn ports(&self, name: &str) -> Result<Vec<VmPort>> {
        self.value(ListPorts.at([name])).await
    }

    /// The forwards of all VMs.
    pub async fn all_forwards(&self) -> Result<Vec<VmForward>> {
        self.value(ListAllForwards.at([])).await
    }

    /// The forwards of a VM.
    pub async fn forwards(&self, name: &str) -> Result<Vec<VmForward>> {
        self.value(ListForwards.at([name])).await
    }

    /// Adds a forward to a VM.
    pub async fn add_forward(&self, name: &str, add: &ForwardAdd) -> Result<VmForward> {
        self.value(AddForward.at([name]).json(add)).await
    }

    /// Removes forwards from a VM, and gives those that were.
    pub async fn remove_forwards(&self, name: &str, remove: &ForwardRemove) -> Result<Vec<Forward>> {
        self.value(RemoveForwards.at([name]).json(remove)).await
    }

    /// What a VM reached and was refused, the latest last.
    pub async fn egress(&self, name: &str) -> Result<Vec<VmFlow>> {
        self.value(ListEgress.at([name])).await
    }

    /// The same, and what comes after that.
    pub async fn follow_egress(&self, name: &str) -> Result<Egress> {
        let call = ListEgress.at([name]).query(&EgressQuery { follow: true });
        Ok(Egress::new(self.open(call).await?.into_body()))
    }

    /// What a VM reached in mode `learn`, as rules.
    pub async fn learned(&self, name: &str) -> Result<VmLearned> {
        self.value(GetLearnedEgress.at([name])).await
    }

    /// A VM's log; it goes on as long as the query says.
    pub async fn logs(&self, name: &str, query: &LogQuery) -> Result<Log> {
        let response = self.open(GetVmLog.at([name]).query(query)).await?;
        Ok(Log(response))
    }

    /// What placing a workspace would place.
    pub async fn plan_workspace(&self, request: &WorkspaceRequest) -> Result<WorkspacePlan> {
        self.value(PlanWorkspace.at([]).json(request)).await
    }

    /// What the repository around a path asks of its VM.
    pub async fn wishes(&self, query: &WishesQuery) -> Result<Wishes> {
        self.value(GetRepositoryConfig.at([]).json(query)).await
    }

    /// All configurations of repositories that are trusted.
    pub async fn trusted(&self) -> Result<Vec<TrustRecord>> {
        self.value(ListTrust.at([])).await
    }

    /// Trusts the configuration of a repository.
    pub async fn trust(&self, grant: &TrustGrant) -> Result<TrustRecord> {
        self.value(GrantTrust.at([]).json(grant)).await
    }

    /// Takes trust back, and gives from what.
    pub async fn distrust(&self, revoke: &TrustRevoke) -> Result<Vec<TrustRecord>> {
        self.value(RevokeTrust.at([]).json(revoke)).await
    }

    /// What a VM has made of a workspace.
    pub async fn workspace_status(&self, name: &str, query: &WorkspaceQuery) -> Result<WorkspaceStatus> {
        self.value(GetWorkspace.at([name]).query(query)).await
    }

    /// What a VM has changed of a workspace, as a patch.
    pub async fn workspace_patch(&self, name: &str, query: &WorkspaceQuery) -> Result<Log> {
        let response = self.open(GetWorkspacePatch.at([name]).query(query)).await?;
        Ok(Log(response))
    }

    /// Brings the work of a VM back.
    pub async fn pull_workspace(
        &self,
        name: &str,
        query: &WorkspaceQuery,
        on_progress: impl FnMut(Progress),
    ) -> Result<WorkspacePulled> {
        self.work(PullWorkspace.at([name]).json(query), on_progress).await
    }

    /// Merges the pulled work of a VM into the work tree on the host.
    pub async fn apply_workspace(&self, name: &str, query: &WorkspaceQuery) -> Result<WorkspaceApplied> {
        self.value(ApplyWorkspace.at([name]).json(query)).await
    }

    /// What of a VM's work was not brought back.
    pub async fn unsaved_work(&self, name: &str) -> Result<Unsaved> {
        self.value(GetUnsavedWork.at([name])).await
    }

    /// Places a workspace in a VM.
    pub async fn place_workspace(
        &self,
        name: &str,
        workspace: &WorkspaceRequest,
        on_progress: impl FnMut(Progress),
    ) -> Result<WorkspaceReport> {
        self.work(PrepareWorkspace.at([name]).json(workspace), on_progress)
            .await
    }
}

/// A log as it comes.
#[derive(Debug)]
pub struct Log(Response);

impl Log {
    /// The next bytes; `None` at the end.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        next_chunk(self.0.body_mut()).await.map_err(ClientError::Http)
    }
}
