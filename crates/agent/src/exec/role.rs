//! Processes of this executable that have a role beside the server's.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::Stdio;

use tokio::process::Command;

use crate::{descriptors, endings};

/// The descriptor that such a process gets.
pub(crate) const DESCRIPTOR: i32 = 3;

/// A process called `name` that runs this executable in `role`, with one descriptor of the server's.
pub(super) fn command(
    name: &str,
    role: &str,
    descriptor: &OwnedFd,
    end_with_us: bool,
) -> io::Result<Command> {
    // Above the number it gets, so that what is done in the child is a true copy, without close-on-exec.
    let descriptor = rustix::io::fcntl_dupfd_cloexec(descriptor, DESCRIPTOR + 1)?;
    let mut command = Command::new("/proc/self/exe");
    command.arg0(name).arg(role).env_clear().stdin(Stdio::null());
    // SAFETY: prctl(2), signal(2), setrlimit(2) and dup2(2) are async-signal-safe; the source is open in the child, as it is
    // close-on-exec, not yet executed and owned by this closure, and the target belongs to nobody: the server's own
    // descriptors end at the exec.
    unsafe {
        command.pre_exec(move || {
            // What the server ignores would be ignored by commands too.
            endings::take();
            descriptors::give_back()?;
            if end_with_us {
                rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
            }
            match libc::dup2(descriptor.as_raw_fd(), DESCRIPTOR) {
                -1 => Err(io::Error::last_os_error()),
                _ => Ok(()),
            }
        });
    }
    Ok(command)
}
