//! What a VM's task is asked for, and for which request.

use std::time::Duration;

use banger_api::{ErrorBody, ForwardAdd, ForwardRemove, VmSet};
use banger_model::{Forward, VmName};
use banger_request::RequestId;
use tokio::sync::oneshot;

use super::super::boot::Start;

/// What a VM's task is asked for.
#[derive(Debug)]
pub(crate) enum Command {
    /// Start the VM, unless it runs. Tells whether it was started.
    Start(Start, Reply<bool>),
    /// Power it off; the guest's init gets this long.
    Stop(Duration, Reply),
    /// Power it off, with this much patience, and start it.
    Restart(Duration, Start, Reply),
    /// End its machine now.
    Kill(Reply),
    /// Let it stay when the request or the command has ended that it was made for.
    Finish(Reply),
    /// Change what it is made of.
    Set(Box<VmSet>, Reply),
    /// Give it another name. Tells the VMs whose rules name it by the old one.
    Rename(VmName, Reply<Vec<VmName>>),
    /// Forward a port.
    AddForward(ForwardAdd, Reply<Forward>),
    /// Forward ports no more.
    RemoveForwards(ForwardRemove, Reply<Vec<Forward>>),
    /// Let its rules hold again: another VM that they name has come or gone.
    Enforce,
    /// Show this of it, until it is started.
    Notice(String),
    /// End its machine, remove its disks, and forget it. The task ends. Without `force`, a VM that may run stays.
    Delete { force: bool, reply: Reply },
}

/// A command, and the request that it is for: what the task logs meanwhile has its id.
#[derive(Debug)]
pub(crate) struct Ordered {
    pub(super) command: Command,
    pub(super) request: RequestId,
}

impl From<Command> for Ordered {
    fn from(command: Command) -> Self {
        Self {
            command,
            request: RequestId::current(),
        }
    }
}

/// Where the outcome of a command goes.
pub(crate) type Reply<T = ()> = oneshot::Sender<Result<T, ErrorBody>>;

impl Command {
    /// Whether this command means that a start in progress is for nothing.
    pub(super) const fn ends_a_start(&self) -> bool {
        matches!(
            self,
            Self::Stop(..) | Self::Kill(_) | Self::Delete { force: true, .. }
        )
    }

    /// Whether this command may start a machine on the VM's disk, change the disk or remove it.
    pub(super) const fn needs_the_disk(&self) -> bool {
        matches!(
            self,
            Self::Start(..) | Self::Restart(..) | Self::Set(..) | Self::Delete { .. }
        )
    }

    /// Whether this command means that a patient stop in progress is too patient.
    pub(super) const fn ends_a_stop(&self) -> bool {
        matches!(self, Self::Kill(_) | Self::Delete { force: true, .. })
    }
}
