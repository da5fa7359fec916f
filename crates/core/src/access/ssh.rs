//! SSH into a VM: a stream to the server that its agent starts, or to the image's own.

use std::sync::Arc;

use banger_api::{ErrorBody, SshAccess};
use banger_guest_api::{Connect, Ssh, Transport, ssh::encode_key};
use banger_guest_link::{self as guest, AgentStream};
use banger_model::body;
use banger_request::blocking;

use super::of_guest;
use crate::vm::{self, Vms};

/// Where an image's own SSH server listens.
const PORT: u16 = 22;

/// What the work on keys is called in the error when it panics.
const KEYS: &str = "updating the SSH keys";

impl Vms {
    /// What clients need to know VMs, and to be known by them.
    pub async fn ssh_access(self: &Arc<Self>) -> Result<SshAccess, ErrorBody> {
        let vms = Arc::clone(self);
        let own = self.context().config().unwrap_or_default().ssh_key_path;
        let identity = blocking(KEYS, move || {
            let context = vms.context();
            context.ssh.publish(&context.directories())?;
            context.ssh.identity(own.as_deref())
        })
        .await?;
        Ok(SshAccess {
            identity: identity.path,
            known_hosts: self.context().paths.ssh_known_hosts(),
        })
    }

    /// A stream on which the VM's agent speaks SSH.
    pub async fn ssh(self: &Arc<Self>, name: &str) -> Result<AgentStream, ErrorBody> {
        let (handle, guest) = self.running(name)?;
        let state = handle.state();
        let (id, vm) = (state.spec.id, state.spec.name.clone());
        let env = vm::variables(&state.spec, &state.image);
        let config = self.context().config().unwrap_or_default();
        let vms = Arc::clone(self);
        let keys = blocking(KEYS, move || {
            let context = vms.context();
            let host = context.ssh.host(context.files(id).dir(), &vm)?;
            let user = context.ssh.identity(config.ssh_key_path.as_deref())?;
            // Before the client sees the VM's key.
            context.ssh.publish(&context.directories())?;
            Ok::<_, banger_keys::Error>(Ssh {
                host_key: encode_key(&host.seed),
                keys: [user.public]
                    .iter()
                    .chain(&config.ssh_keys)
                    .map(encode_key)
                    .collect(),
                env: env.into_iter().collect(),
            })
        })
        .await?;
        guest.ssh(&keys).await.map_err(of_guest(&handle))
    }

    /// A tunnel to the SSH server that the image brings: frames of `tunnel_v1`.
    pub async fn own_ssh(&self, name: &str) -> Result<AgentStream, ErrorBody> {
        let (handle, guest) = self.running(name)?;
        let connect = Connect {
            transport: Transport::Tcp,
            port: PORT,
        };
        match guest.connect(&connect).await {
            Ok(tunnel) => Ok(tunnel),
            Err(guest::Error::Refused { .. }) => Err(body(&vm::AccessError::NoSsh(handle.state().spec.name))),
            Err(source) => Err(of_guest(&handle)(source)),
        }
    }
}
