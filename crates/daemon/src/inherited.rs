//! What this program does not keep of who started it, and so does not hand down to its machines.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::set_no_new_privs;

/// Closes every descriptor but the standard ones. A caller's files, sockets and pipes are not for the daemon, which outlives the
/// caller, nor for its machines, which outlive the daemon. Call it first: nothing of this program may be open yet.
pub(crate) fn close_descriptors() -> io::Result<()> {
    // SAFETY: no descriptor beyond the standard ones belongs to this program yet, so nothing that it owns is closed.
    if unsafe { libc::close_range(3, libc::c_uint::MAX, 0) } == 0 {
        return Ok(());
    }
    // Before Linux 5.9.
    let open: Vec<i32> = std::fs::read_dir("/proc/self/fd")?
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|&descriptor| descriptor > 2)
        .collect();
    for descriptor in open {
        // SAFETY: as above. The one that the directory was read by is closed already, and closing it again fails.
        unsafe { libc::close(descriptor) };
    }
    Ok(())
}

/// Gives up what nothing here needs: this program and all that it starts gain no privileges by executing a program, and leave no
/// core dumps, which would have a guest's memory.
pub(crate) fn restrict() -> io::Result<()> {
    set_no_new_privs(true)?;
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    Ok(setrlimit(Resource::Core, none)?)
}

/// As many descriptors as the system grants: a forwarded connection takes two. What this starts inherits that, which does
/// it no harm.
pub(crate) fn take_descriptors() -> io::Result<()> {
    let granted = getrlimit(Resource::Nofile);
    let all = Rlimit {
        current: granted.maximum,
        ..granted
    };
    Ok(setrlimit(Resource::Nofile, all)?)
}
