//! SSH into a VM, over HTTP.

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use banger_api::stream::{HANDED_OVER, SSH};
use banger_api::{SshAccess, SshStart};

use super::answer::Refused;
use super::{App, streams, upgrade};

/// What clients need to know VMs, and to be known by them.
pub(crate) async fn access(State(app): State<App>) -> Result<Json<SshAccess>, Refused> {
    Ok(Json(app.vms.ssh_access().await?))
}

/// A stream of SSH. The image's own server is behind a tunnel, so its stream is always relayed.
pub(crate) async fn open(
    State(app): State<App>,
    Path(name): Path<String>,
    mut request: Request,
) -> Result<Response, Refused> {
    let client = upgrade::asked(&mut request, &[HANDED_OVER, SSH])?;
    match streams::read(request).await? {
        SshStart { sshd: false } => Ok(app.streams.connect(client, app.vms.ssh(&name).await?)),
        SshStart { sshd: true } => Ok(app
            .streams
            .join_tunnel(client.relayed(SSH)?, app.vms.own_ssh(&name).await?)),
    }
}
