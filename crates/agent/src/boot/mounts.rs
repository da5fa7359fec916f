//! The kernel's own file systems.

use std::path::Path;

use banger_guest_api::Failure;
use rustix::io::Errno;
use rustix::mount::{MountFlags, mount};

use crate::failure::During;

/// Mounts what every program expects. What the kernel has mounted already stays.
pub(super) fn early() -> Result<(), Failure> {
    let quiet = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    one("proc", "/proc", quiet, "")?;
    one("sysfs", "/sys", quiet, "")?;
    one("devtmpfs", "/dev", MountFlags::NOSUID, "mode=0755")?;
    one(
        "devpts",
        "/dev/pts",
        MountFlags::NOSUID | MountFlags::NOEXEC,
        "gid=5,mode=0620,ptmxmode=0666",
    )?;
    one(
        "tmpfs",
        "/dev/shm",
        MountFlags::NOSUID | MountFlags::NODEV,
        "mode=1777",
    )?;
    one(
        "tmpfs",
        "/run",
        MountFlags::NOSUID | MountFlags::NODEV,
        "mode=0755",
    )?;
    links();
    Ok(())
}

/// Mounts the control groups for a guest without an init that would.
pub(super) fn control_groups() {
    let quiet = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    if let Err(failure) = one("cgroup2", "/sys/fs/cgroup", quiet, "") {
        // A kernel may have none; commands run all the same.
        eprintln!("banger: {}", failure.message);
    }
}

fn one(kind: &str, target: &str, flags: MountFlags, data: &str) -> Result<(), Failure> {
    // In /sys nothing can be made, and what is there already is no failure.
    let _ = std::fs::create_dir_all(target);
    let data = std::ffi::CString::new(data).expect("options without zero bytes");
    match mount(kind, target, kind, flags, Some(&*data)) {
        Ok(()) | Err(Errno::BUSY) => Ok(()),
        Err(error) => Err(error).during(format!("mount {kind} at {target}")),
    }
}

/// devtmpfs has the devices; these names for open descriptors are user space's to make.
fn links() {
    let links = [
        ("/proc/self/fd", "/dev/fd"),
        ("/proc/self/fd/0", "/dev/stdin"),
        ("/proc/self/fd/1", "/dev/stdout"),
        ("/proc/self/fd/2", "/dev/stderr"),
    ];
    for (target, link) in links.into_iter().filter(|(_, link)| !Path::new(link).exists()) {
        let _ = std::os::unix::fs::symlink(target, link);
    }
}
