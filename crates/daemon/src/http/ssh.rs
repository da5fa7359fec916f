//! SSH into a VM: the client's stream is joined to the server that its agent starts, or to the image's own.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use banger_api::stream::SSH;
use banger_api::{SshAccess, SshStart};
use banger_guest_api::{Connect, Ssh, Transport, ssh::encode_key};
use http_body_util::{BodyExt, Limited};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;

use super::answer::{BadRequest, Refused};
use super::{App, upgrade};
use crate::guest::Tunnel;
use crate::vm::{self, Handle, Vms};
use crate::{forward, ssh};

/// Longer than any request.
const MAX_REQUEST: usize = 4 << 10;

/// Bytes that are held in each direction.
const BUFFER: usize = 256 << 10;

/// Where an image's own SSH server listens.
const PORT: u16 = 22;

/// What clients need to know VMs, and to be known by them.
pub(crate) async fn access(State(app): State<App>) -> Result<Json<SshAccess>, Refused> {
    let vms = Arc::clone(&app.vms);
    blocking(move || {
        let context = vms.context();
        context.ssh.identity()?;
        context.ssh.publish(&vms.directories())
    })
    .await?;
    let paths = &app.vms.context().paths;
    Ok(Json(SshAccess {
        identity: paths.ssh_identity(),
        known_hosts: paths.ssh_known_hosts(),
    }))
}

/// A stream of SSH.
pub(crate) async fn open(
    State(app): State<App>,
    Path(name): Path<String>,
    mut request: Request,
) -> Result<Response, Refused> {
    let client = upgrade::asked(&mut request, SSH)?;
    let handle = app.vms.find(&name)?;
    let server = match read(request).await? {
        SshStart { sshd: true } => Server::Own(own(&handle).await?),
        SshStart { sshd: false } => Server::Agent(agent(&app.vms, &handle).await?),
    };
    let open = app.streams.open();
    tokio::spawn(async move {
        let _open = open;
        match client.await {
            Ok(client) => server.carry(client).await,
            Err(error) => tracing::warn!(%error, "a client asked for a stream and did not take it"),
        }
    });
    Ok(upgrade::switching(SSH))
}

/// Who answers.
enum Server {
    /// The agent's.
    Agent(Upgraded),
    /// The image's own.
    Own(Tunnel),
}

impl Server {
    async fn carry(self, client: Upgraded) {
        let mut client = TokioIo::new(client);
        let carried = match self {
            Self::Agent(agent) => {
                let mut agent = TokioIo::new(agent);
                let joined =
                    tokio::io::copy_bidirectional_with_sizes(&mut client, &mut agent, BUFFER, BUFFER);
                joined.await.map(drop)
            }
            Self::Own(tunnel) => forward::join(client, tunnel).await,
        };
        // Either side may leave at any time.
        if let Err(error) = carried {
            tracing::debug!(%error, "a stream of SSH ended early");
        }
    }
}

/// A stream on which the VM's agent speaks SSH.
pub(crate) async fn agent(vms: &Arc<Vms>, handle: &Handle) -> Result<Upgraded, Refused> {
    let live = handle.live()?;
    let state = handle.state();
    let (id, name) = (state.spec.id, state.spec.name.clone());
    let env = vm::variables(&state.spec, &state.image);
    let others = vms.context().config().unwrap_or_default().ssh_keys;
    let registry = Arc::clone(vms);
    let ssh = blocking(move || {
        let context = registry.context();
        let host = context.ssh.host(context.files(id).dir(), &name)?;
        let user = context.ssh.identity()?;
        // Before the client sees the VM's key.
        context.ssh.publish(&registry.directories())?;
        Ok(Ssh {
            host_key: encode_key(&host.seed),
            keys: [user.public].iter().chain(&others).map(encode_key).collect(),
            env: env.into_iter().collect(),
        })
    })
    .await?;
    let opened = live.guest().ssh(&ssh).await;
    opened.map_err(|source| of_guest(handle, source))
}

async fn own(handle: &Handle) -> Result<Tunnel, Refused> {
    let connect = Connect {
        transport: Transport::Tcp,
        port: PORT,
    };
    match handle.live()?.guest().connect(&connect).await {
        Ok(tunnel) => Ok(tunnel),
        Err(crate::guest::Error::Refused { .. }) => Err(vm::Error::NoSsh(handle.state().spec.name).into()),
        Err(source) => Err(of_guest(handle, source)),
    }
}

fn of_guest(handle: &Handle, source: crate::guest::Error) -> Refused {
    vm::Error::of_guest(&handle.state().spec.name)(source).into()
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ssh::Error> + Send + 'static,
) -> Result<T, Refused> {
    let done = tokio::task::spawn_blocking(work).await;
    Ok(done.map_err(|_| BadRequest::Defect("the look after SSH keys"))??)
}

async fn read(request: Request) -> Result<SshStart, Refused> {
    let body = Limited::new(request.into_body(), MAX_REQUEST).collect().await;
    let bytes = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let text: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
    Ok(serde_json::from_slice(text).map_err(BadRequest::Body)?)
}
