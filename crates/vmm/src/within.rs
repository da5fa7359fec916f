//! Starting a process in the namespaces of another: a user's own network is in namespaces that the user owns.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::thread::{
    CapabilitiesSecureBits, CapabilitySet, CapabilitySets, ThreadNameSpaceType, move_into_thread_name_spaces,
    set_capabilities, set_capabilities_secure_bits, set_no_new_privs,
};

use crate::ProcessId;

/// What is shared with the other process, and what may be done there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Within {
    /// Its users and its network. The new process has no capability there and gets none, so that it cannot change the
    /// network that it is in.
    Network,
    /// Its users and its network, with all that its root may do.
    AsRoot,
    /// Its users alone, with all that their root may do: who joins two networks stands in ours.
    UsersAsRoot,
}

/// Lets `command` run in namespaces of `process`. User 0 there is the one who made them.
///
/// # Errors
/// When the process is gone. That its namespaces may not be entered is told by the command's start.
pub fn enter(command: &mut Command, process: &ProcessId, within: Within) -> io::Result<()> {
    let gone = || {
        io::Error::new(
            io::ErrorKind::NotFound,
            "the process that holds the network has ended",
        )
    };
    let held = process.open()?.ok_or_else(gone)?;
    // SAFETY: between fork and exec this makes system calls, all of them async-signal-safe, on a descriptor that the
    // closure owns, and allocates nothing.
    unsafe {
        command.pre_exec(move || enter_now(&held, within).map_err(Into::into));
    }
    Ok(())
}

fn enter_now(held: &OwnedFd, within: Within) -> rustix::io::Result<()> {
    let which = match within {
        Within::Network | Within::AsRoot => ThreadNameSpaceType::USER | ThreadNameSpaceType::NETWORK,
        Within::UsersAsRoot => ThreadNameSpaceType::USER,
    };
    move_into_thread_name_spaces(held.as_fd(), which)?;
    if within != Within::Network {
        return Ok(());
    }
    // Else exec would give user 0 of these namespaces all capabilities back.
    set_capabilities_secure_bits(CapabilitiesSecureBits::NO_ROOT | CapabilitiesSecureBits::NO_ROOT_LOCKED)?;
    let none = CapabilitySet::empty();
    set_capabilities(
        None,
        CapabilitySets {
            effective: none,
            permitted: none,
            inheritable: none,
        },
    )?;
    set_no_new_privs(true)
}
