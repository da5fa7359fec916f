//! A relative path, followed from a directory's descriptor through no symbolic link.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;

/// Whether the kernel was seen to have no `openat2` (before Linux 5.6).
static ABSENT: AtomicBool = AtomicBool::new(false);

/// The parts of a relative path that stays below where it begins; nothing for one that may not.
pub(crate) fn parts(path: &Path) -> Option<Vec<&OsStr>> {
    let bytes = path.as_os_str().as_bytes();
    if bytes.starts_with(b"/") || bytes.contains(&0) {
        return None;
    }
    let parts = bytes.split(|&byte| byte == b'/');
    let parts: Vec<_> = parts.filter(|part| !matches!(*part, b"" | b".")).collect();
    (!parts.contains(&&b".."[..])).then(|| parts.into_iter().map(OsStr::from_bytes).collect())
}

/// A name in a directory.
pub(crate) fn name(name: &OsStr) -> Result<&OsStr, Errno> {
    match name.as_bytes() {
        b"" | b"." | b".." => Err(Errno::XDEV),
        name if name.contains(&b'/') => Err(Errno::XDEV),
        _ => Ok(name),
    }
}

/// Opens `path` below `dir`.
pub(crate) fn open(dir: BorrowedFd<'_>, path: &Path, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
    let Some(parts) = parts(path) else {
        return Err(Errno::XDEV);
    };
    let mut flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    if !flags.contains(OFlags::PATH) {
        flags |= OFlags::NOCTTY;
    }
    match parts.as_slice() {
        [] => openat(dir, ".", flags, mode),
        // Of one part, the flag says it all.
        [name] => openat(dir, *name, flags, mode),
        parts if ABSENT.load(Ordering::Relaxed) => stepwise(dir, parts, flags, mode),
        parts => beneath(dir, path, parts, flags, mode),
    }
}

fn beneath(
    dir: BorrowedFd<'_>,
    path: &Path,
    parts: &[&OsStr],
    flags: OFlags,
    mode: Mode,
) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    match openat2(dir, path, flags, mode, resolve) {
        Err(Errno::NOSYS) => {
            ABSENT.store(true, Ordering::Relaxed);
            stepwise(dir, parts, flags, mode)
        }
        // Filters of system calls say so as well (containers), and a rename beside us may ask for another try. The other way
        // tells what is true of the file.
        Err(Errno::PERM | Errno::AGAIN) => stepwise(dir, parts, flags, mode),
        opened => opened,
    }
}

/// The same without `openat2`: each directory is opened from the one above it.
pub(crate) fn stepwise(
    dir: BorrowedFd<'_>,
    parts: &[&OsStr],
    flags: OFlags,
    mode: Mode,
) -> Result<OwnedFd, Errno> {
    let Some((last, above)) = parts.split_last() else {
        return openat(dir, ".", flags, mode);
    };
    let step = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut held: Option<OwnedFd> = None;
    for part in above {
        let from = held.as_ref().map_or(dir, AsFd::as_fd);
        let next = openat(from, *part, step, Mode::empty()).map_err(|error| told(from, part, error))?;
        held = Some(next);
    }
    openat(held.as_ref().map_or(dir, AsFd::as_fd), *last, flags, mode)
}

/// A link in place of a directory is told as a link.
pub(crate) fn told(dir: BorrowedFd<'_>, name: &OsStr, error: Errno) -> Errno {
    let is_link = || {
        let found = rustix::fs::statat(dir, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW);
        found.is_ok_and(|found| rustix::fs::FileType::from_raw_mode(found.st_mode).is_symlink())
    };
    match error {
        Errno::NOTDIR if is_link() => Errno::LOOP,
        error => error,
    }
}
