//! Sessions over HTTP.

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use banger_api::VmSession;
use banger_api::stream::{HANDED_OVER, STDIO_MUX, SessionSignal, SessionStart, SessionStop};

use super::answer::{Body, Refused};
use super::{App, streams, upgrade};

type Shown = Result<Json<VmSession>, Refused>;

/// A VM and a session of it.
type Names = Path<(String, String)>;

pub(crate) async fn list(
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<Json<Vec<VmSession>>, Refused> {
    Ok(Json(app.vms.sessions(&name).await?))
}

pub(crate) async fn start(
    State(app): State<App>,
    Path(name): Path<String>,
    Body(start): Body<SessionStart>,
) -> Shown {
    Ok(Json(app.vms.start_session(&name, start).await?))
}

pub(crate) async fn show(State(app): State<App>, Path((name, session)): Names) -> Shown {
    Ok(Json(app.vms.session(&name, &session).await?))
}

pub(crate) async fn wait(State(app): State<App>, Path((name, session)): Names) -> Shown {
    Ok(Json(app.vms.wait_for_session(&name, &session).await?))
}

pub(crate) async fn signal(
    State(app): State<App>,
    Path((name, session)): Names,
    Body(signal): Body<SessionSignal>,
) -> Shown {
    Ok(Json(app.vms.signal_session(&name, &session, &signal).await?))
}

pub(crate) async fn stop(
    State(app): State<App>,
    Path((name, session)): Names,
    Body(stop): Body<SessionStop>,
) -> Shown {
    Ok(Json(app.vms.stop_session(&name, &session, &stop).await?))
}

pub(crate) async fn remove(State(app): State<App>, Path((name, session)): Names) -> Shown {
    Ok(Json(app.vms.remove_session(&name, &session).await?))
}

pub(crate) async fn stream(
    State(app): State<App>,
    Path((name, session)): Names,
    mut request: Request,
) -> Result<Response, Refused> {
    let client = upgrade::asked(&mut request, &[HANDED_OVER, STDIO_MUX])?;
    let wanted = streams::read(request).await?;
    let agent = app.vms.join_session(&name, &session, &wanted).await?;
    Ok(app.streams.connect(client, agent))
}
