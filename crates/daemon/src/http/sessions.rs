//! Sessions over HTTP. All that is known of them is in the guest; a client's stream and the keeper's are joined there.

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use banger_api::VmSession;
use banger_api::stream::{STDIO_MUX, SessionSignal, SessionStart, SessionStop, SessionStream};

use super::answer::{Body, Refused};
use super::exec::{joined, read, with_defaults};
use super::{App, upgrade};
use crate::guest::{self, Guest};
use crate::vm::{self, Handle};

type Shown = Result<Json<VmSession>, Refused>;

pub(crate) async fn list(
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<Json<Vec<VmSession>>, Refused> {
    let (handle, guest) = of(&app, &name)?;
    let sessions = guest.sessions().await.map_err(|error| failed(&handle, error))?;
    Ok(Json(sessions.into_iter().map(VmSession::from).collect()))
}

pub(crate) async fn start(
    State(app): State<App>,
    Path(name): Path<String>,
    Body(mut start): Body<SessionStart>,
) -> Shown {
    let (handle, guest) = of(&app, &name)?;
    let state = handle.state();
    start.exec = with_defaults(start.exec, &state.spec, &state.image);
    shown(&handle, guest.start_session(&start).await)
}

pub(crate) async fn show(State(app): State<App>, Path((name, session)): Path<(String, String)>) -> Shown {
    let (handle, guest) = of(&app, &name)?;
    shown(&handle, guest.session(&session).await)
}

pub(crate) async fn wait(State(app): State<App>, Path((name, session)): Path<(String, String)>) -> Shown {
    let (handle, guest) = of(&app, &name)?;
    shown(&handle, guest.wait_for_session(&session).await)
}

pub(crate) async fn signal(
    State(app): State<App>,
    Path((name, session)): Path<(String, String)>,
    Body(signal): Body<SessionSignal>,
) -> Shown {
    let (handle, guest) = of(&app, &name)?;
    shown(&handle, guest.signal_session(&session, &signal).await)
}

pub(crate) async fn stop(
    State(app): State<App>,
    Path((name, session)): Path<(String, String)>,
    Body(stop): Body<SessionStop>,
) -> Shown {
    let (handle, guest) = of(&app, &name)?;
    shown(&handle, guest.stop_session(&session, &stop).await)
}

pub(crate) async fn remove(State(app): State<App>, Path((name, session)): Path<(String, String)>) -> Shown {
    let (handle, guest) = of(&app, &name)?;
    shown(&handle, guest.remove_session(&session).await)
}

pub(crate) async fn stream(
    State(app): State<App>,
    Path((name, session)): Path<(String, String)>,
    mut request: Request,
) -> Result<Response, Refused> {
    let client = upgrade::asked(&mut request, STDIO_MUX)?;
    let (handle, guest) = of(&app, &name)?;
    let wanted: SessionStream = read(request).await?;
    let agent = guest.join_session(&session, &wanted).await;
    Ok(joined(
        &app,
        client,
        agent.map_err(|error| failed(&handle, error))?,
    ))
}

fn of(app: &App, name: &str) -> Result<(Handle, Guest), Refused> {
    let handle = app.vms.find(name)?;
    let guest = handle.live()?.guest();
    Ok((handle, guest))
}

fn shown(handle: &Handle, session: Result<banger_api::stream::Session, guest::Error>) -> Shown {
    let session = session.map_err(|error| failed(handle, error))?;
    Ok(Json(session.into()))
}

fn failed(handle: &Handle, source: guest::Error) -> Refused {
    let name = handle.state().spec.name;
    let status = source.status();
    let mut refused = Refused::from(vm::Error::of_guest(&name)(source));
    let body = &mut refused.0;
    if status.is_some() {
        // The guest's own words say it all; what was asked is what the client asked.
        let mut causes = std::mem::take(&mut body.causes).into_iter().skip(1);
        if let Some(words) = causes.next() {
            body.message = words;
        }
        body.causes = causes.collect();
    }
    if status == Some(StatusCode::GONE) {
        body.hints
            .push(format!("`banger vm session list {name}` tells which there are"));
    }
    refused
}
