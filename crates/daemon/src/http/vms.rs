//! VMs over HTTP.

use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use banger_api::{
    Vm, VmCommit, VmCreate, VmDelete, VmRename, VmRenamed, VmRestart, VmSet, VmStart, VmStop, VmStopped,
    VmWait, VmWaited, VmWork,
};
use banger_core::Handle;
use banger_stores::images;

use super::App;
use super::answer::{Asked, Body, Refused};
use super::events;

type Answer = Result<Json<Vm>, Refused>;

impl App {
    fn find(&self, name: &str) -> Result<Handle, Refused> {
        Ok(self.vms.find(name)?)
    }

    fn view(&self, handle: &Handle) -> Vm {
        handle.view(self.vms.context())
    }
}

pub(crate) async fn list(State(app): State<App>) -> Json<Vec<Vm>> {
    Json(app.vms.list().iter().map(|handle| app.view(handle)).collect())
}

pub(crate) async fn show(State(app): State<App>, Path(name): Path<String>) -> Answer {
    let handle = app.find(&name)?;
    let mut vm = app.view(&handle);
    if let (Some(machine), Some(live)) = (&mut vm.machine, handle.state().live) {
        machine.processes = live.processes();
    }
    if vm.network.by.is_some() {
        vm.network.withdrawn = app.vms.why_withdrawn().await;
    }
    Ok(Json(vm))
}

/// Holds a VM that goes with its command, until the client leaves or the VM is gone.
pub(crate) async fn hold(State(app): State<App>, Path(name): Path<String>) -> Result<Response, Refused> {
    let handle = app.find(&name)?;
    let held = app.vms.hold(&name)?;
    Ok(events::respond(|say| async move {
        // Dropped with the response, and with that the VM goes.
        let _held = held;
        say.note("held");
        handle.gone().await;
        Ok(())
    }))
}

pub(crate) async fn create(State(app): State<App>, Body(request): Body<VmCreate>) -> Response {
    let since = Instant::now();
    events::respond(|say| async move { app.vms.create(request, &say, since).await })
}

pub(crate) async fn start(
    State(app): State<App>,
    Path(name): Path<String>,
    Body(request): Body<VmStart>,
) -> Result<Response, Refused> {
    let since = Instant::now();
    let handle = app.find(&name)?;
    Ok(events::respond(|say| async move {
        if !handle.start(request.wait, request.secrets, &say, since).await? {
            say.note(format!("VM {} is already running", handle.state().spec.name));
        }
        Ok(app.view(&handle))
    }))
}

pub(crate) async fn stop(
    State(app): State<App>,
    Path(name): Path<String>,
    Body(request): Body<VmStop>,
) -> Result<Json<VmStopped>, Refused> {
    let grace = Duration::from_millis(request.grace_ms);
    let (handle, work) = app.vms.stop(&name, grace).await?;
    let vm = app.view(&handle);
    Ok(Json(VmStopped { vm, work }))
}

pub(crate) async fn kill(State(app): State<App>, Path(name): Path<String>) -> Answer {
    let handle = app.find(&name)?;
    handle.kill().await?;
    Ok(Json(app.view(&handle)))
}

pub(crate) async fn restart(
    State(app): State<App>,
    Path(name): Path<String>,
    Body(request): Body<VmRestart>,
) -> Result<Response, Refused> {
    let handle = app.find(&name)?;
    Ok(events::respond(|say| async move {
        let grace = Duration::from_millis(request.stop.grace_ms);
        handle.restart(grace, request.wait, request.secrets, &say).await?;
        Ok(app.view(&handle))
    }))
}

pub(crate) async fn set(
    State(app): State<App>,
    Path(name): Path<String>,
    Body(request): Body<VmSet>,
) -> Answer {
    let handle = app.find(&name)?;
    handle.set(request).await?;
    Ok(Json(app.view(&handle)))
}

pub(crate) async fn rename(
    State(app): State<App>,
    Path(name): Path<String>,
    Body(request): Body<VmRename>,
) -> Result<Json<VmRenamed>, Refused> {
    let (handle, named_by) = app.vms.rename(&name, request.name).await?;
    let vm = app.view(&handle);
    Ok(Json(VmRenamed { vm, named_by }))
}

pub(crate) async fn wait(
    State(app): State<App>,
    Path(name): Path<String>,
    Asked(query): Asked<VmWait>,
) -> Result<Json<VmWaited>, Refused> {
    Ok(Json(app.vms.wait(&name, query.awaited).await?))
}

pub(crate) async fn delete(
    State(app): State<App>,
    Path(name): Path<String>,
    Asked(query): Asked<VmDelete>,
) -> Result<Json<VmWork>, Refused> {
    Ok(Json(app.vms.delete(&name, query.force).await?))
}

pub(crate) async fn commit(
    State(app): State<App>,
    Path(name): Path<String>,
    Body(request): Body<VmCommit>,
) -> Result<Response, Refused> {
    app.find(&name)?;
    Ok(events::respond(|say| async move {
        images::commit(&app.vms, &name, request, &say).await
    }))
}
