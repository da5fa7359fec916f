//! What a client does in a VM that runs: commands, sessions, files, secrets, SSH, logs. Each is one function of [`Vms`].

mod command;
mod files;
mod logs;
mod network;
mod past;
mod secrets;
mod sessions;
mod ssh;

use banger_api::ErrorBody;
use banger_guest_link::{self as guest, Agent};
use banger_model::Described;

pub use self::files::FileTransfer;

use crate::vm::{self, Handle, Vms};

impl Vms {
    /// A VM that runs, and its agent.
    fn running(&self, name: &str) -> Result<(Handle, Agent), ErrorBody> {
        let handle = self.find(name).described()?;
        let guest = handle.live().described()?.guest();
        Ok((handle, guest))
    }
}

/// What a failure of a VM's agent is to a client.
fn of_guest(handle: &Handle) -> impl FnOnce(guest::Error) -> ErrorBody + use<> {
    let failed = vm::AccessError::of_guest(&handle.state().spec.name);
    |source| banger_model::body(&failed(source))
}
