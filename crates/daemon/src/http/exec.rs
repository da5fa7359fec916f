//! Commands in a guest: the client's stream and the agent's are joined, byte for byte.

use std::collections::BTreeMap;

use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use banger_api::stream::{Exec, STDIO_MUX};
use http_body_util::{BodyExt, Limited};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use super::App;
use super::answer::{BadRequest, Refused};
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
    let client = request
        .extensions_mut()
        .remove::<OnUpgrade>()
        .ok_or(BadRequest::NoUpgrade)?;
    let handle = app.vms.find(&name)?;
    let live = handle.live()?;
    let exec = read(request).await?;
    let exec = with_variables(exec, &handle.state().spec.env);
    let agent = live
        .guest()
        .exec(&exec)
        .await
        .map_err(|source| vm::Error::Guest {
            name: handle.state().spec.name,
            source: Box::new(source),
            console: None,
        })?;
    tokio::spawn(async move {
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
    let mut response = StatusCode::SWITCHING_PROTOCOLS.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static(STDIO_MUX));
    Ok(response)
}

async fn read(request: Request) -> Result<Exec, Refused> {
    let body = Limited::new(request.into_body(), MAX_REQUEST).collect().await;
    let bytes = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    Ok(serde_json::from_slice(&bytes).map_err(BadRequest::Body)?)
}

/// The VM's variables as they are now, under the command's own: `vm set --env` needs no restart.
fn with_variables(mut exec: Exec, variables: &BTreeMap<String, String>) -> Exec {
    for (name, value) in variables {
        exec.env.entry(name.clone()).or_insert_with(|| value.clone());
    }
    exec
}
