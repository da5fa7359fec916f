//! Making a workspace read-only: a bind mount of it on itself, which every program of the guest meets.

use std::io;
use std::path::{Path, PathBuf};

use banger_guest_api::Failure;
use rustix::fs::{StatVfsMountFlags, statvfs};
use rustix::mount::{MountFlags, UnmountFlags, mount_bind, mount_remount, unmount};

use super::OWN_DIR;
use crate::failure::{During, refused};

/// Makes the workspace at `base` read-only, or writable again.
pub(crate) fn protect(base: PathBuf, readonly: bool) -> Result<(), Failure> {
    let changed = if readonly { close(&base) } else { open(&base) };
    let what = if readonly { "read-only" } else { "writable" };
    changed.during(format!("make {} {what}", base.display()))
}

/// Only the fake guest has no mounts of its own.
pub(crate) fn without_mounts() -> Failure {
    refused("this guest cannot make a workspace read-only: it has no mounts of its own")
}

fn close(base: &Path) -> io::Result<()> {
    if is_readonly(base)? {
        return Ok(());
    }
    // Tells ours from a mount that somebody else made.
    std::fs::write(mark(base), "")?;
    mount_bind(base, base)?;
    Ok(mount_remount(base, MountFlags::BIND | MountFlags::RDONLY, "")?)
}

fn open(base: &Path) -> io::Result<()> {
    if !mark(base).exists() {
        return Ok(());
    }
    if is_readonly(base)? {
        unmount(base, UnmountFlags::DETACH)?;
    }
    std::fs::remove_file(mark(base))
}

fn is_readonly(base: &Path) -> io::Result<bool> {
    Ok(statvfs(base)?.f_flag.contains(StatVfsMountFlags::RDONLY))
}

fn mark(base: &Path) -> PathBuf {
    base.join(OWN_DIR).join("readonly")
}
