//! What is done in one directory, through no symbolic link.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, Mode, OFlags, openat, renameat, unlinkat};
use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};

/// Opens the directory `name` in `dir`, if it is one itself.
pub(super) fn enter(dir: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(dir, name, flags, Mode::empty())
}

/// Renames within a directory; with `replace`, over whatever has the name.
pub(super) fn rename(dir: &File, from: &[u8], to: &[u8], replace: bool) -> rustix::io::Result<()> {
    match renameat(dir, from, dir, to) {
        Err(Errno::ISDIR) if replace => {
            remove_at(dir, to)?;
            renameat(dir, from, dir, to)
        }
        renamed => renamed,
    }
}

/// Removes the file or tree `name` in a directory.
pub(super) fn remove_at(dir: &File, name: &[u8]) -> rustix::io::Result<()> {
    match unlinkat(dir, name, AtFlags::empty()) {
        Err(Errno::ISDIR) => {}
        removed => return removed,
    }
    let below: File = enter(dir.as_fd(), name)?.into();
    for entry in Dir::read_from(&below)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if !matches!(name, b"." | b"..") {
            remove_at(&below, name)?;
        }
    }
    unlinkat(dir, name, AtFlags::REMOVEDIR)
}

/// A name that nothing else has.
pub(super) fn hidden() -> rustix::io::Result<Vec<u8>> {
    let mut random = [0; 8];
    getrandom(&mut random, GetRandomFlags::empty())?;
    Ok(format!(".banger-{:016x}", u64::from_ne_bytes(random)).into_bytes())
}
