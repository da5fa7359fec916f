//! Commands in a guest: the client's stream and the agent's are joined, byte for byte.

use axum::extract::{Path, Request, State};
use axum::response::Response;
use banger_api::stream::{Exec, STDIO_MUX};
use banger_model::VmSpec;
use http_body_util::{BodyExt, Limited};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;

use super::answer::{BadRequest, Refused};
use super::{App, upgrade};
use crate::database::ImageRef;
use crate::vm;

/// Longer than any command line that Linux takes with its variables.
const MAX_REQUEST: usize = 4 << 20;

/// Bytes that are held in each direction.
const BUFFER: usize = 256 << 10;

pub(crate) async fn exec(
    State(app): State<App>,
    Path(name): Path<String>,
    mut request: Request,
) -> Result<Response, Refused> {
    let client = upgrade::asked(&mut request, STDIO_MUX)?;
    let handle = app.vms.find(&name)?;
    let live = handle.live()?;
    let exec = read(request).await?;
    let state = handle.state();
    let exec = with_defaults(exec, &state.spec, &state.image);
    let agent = live
        .guest()
        .exec(&exec)
        .await
        .map_err(vm::Error::of_guest(&state.spec.name))?;
    Ok(joined(&app, client, agent))
}

/// Joins a client's stream and the agent's, and tells the client so.
pub(super) fn joined(app: &App, client: OnUpgrade, agent: Upgraded) -> Response {
    let open = app.streams.open();
    tokio::spawn(async move {
        let _open = open;
        let client = match client.await {
            Ok(client) => client,
            Err(error) => return tracing::warn!(%error, "a client asked for a stream and did not take it"),
        };
        let (mut client, mut agent) = (TokioIo::new(client), TokioIo::new(agent));
        // Either side may leave at any time; that ends the command or its watcher, and is no failure of ours.
        if let Err(error) =
            tokio::io::copy_bidirectional_with_sizes(&mut client, &mut agent, BUFFER, BUFFER).await
        {
            tracing::debug!(%error, "a stream ended early");
        }
    });
    upgrade::switching(STDIO_MUX)
}

/// The body of such a request. An empty one is taken as `{}`, as [`Body`](super::answer::Body) takes it.
pub(super) async fn read<T: DeserializeOwned>(request: Request) -> Result<T, Refused> {
    let body = Limited::new(request.into_body(), MAX_REQUEST).collect().await;
    let bytes = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let text: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
    Ok(serde_json::from_slice(text).map_err(BadRequest::Body)?)
}

/// What the command does not say for itself: the VM's variables as they are now (`vm set --env` needs no restart), then
/// what the image says.
pub(super) fn with_defaults(mut exec: Exec, spec: &VmSpec, image: &ImageRef) -> Exec {
    for (name, value) in vm::variables(spec, image) {
        exec.env.entry(name).or_insert(value);
    }
    let set = |text: &String| (!text.is_empty()).then(|| text.clone());
    // A directory is the image's choice for its user; for another it may not even be readable.
    if exec.user.is_none() {
        exec.cwd = exec.cwd.or_else(|| set(&image.config.workdir));
    }
    exec.user = exec.user.or_else(|| set(&image.config.user));
    exec
}
