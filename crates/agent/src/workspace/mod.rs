//! Workspaces: repositories that the host places, and what the guest made of them since.
//!
//! ```text
//!  look ──▶ manifest (.git/banger/placed) ◀── apply ◀── the host's stream of entries
//! ```
//!
//! The manifest is a journal, so that a stream that broke off leaves an exact account. What the guest's own programs wrote is
//! told apart by size, time and mode. The host is trusted with the guest; what must not happen by accident is that something
//! of the guest's own goes: nothing is removed but what the host names, and no directory that still holds anything.

mod apply;
mod look;
mod manifest;
mod owner;
mod protect;

use std::path::{Component, Path, PathBuf};

use banger_guest_api::Failure;

use crate::failure::refused;

pub(crate) use self::look::look;
pub(crate) use self::owner::apply_as;
pub(crate) use self::protect::{protect, without_mounts};

/// Where a workspace keeps what banger knows of it, below its root.
const OWN_DIR: &str = ".git/banger";

/// A path that can hold a workspace.
pub(crate) fn checked(path: &str) -> Result<&str, Failure> {
    let parsed = Path::new(path);
    if !parsed.is_absolute() || parsed.components().any(|part| part == Component::ParentDir) {
        return Err(refused(format!("`{path}` is not an absolute path")));
    }
    Ok(path)
}

/// Where `path` lies below `base`; nothing when it would lead out by its name.
fn below(base: &Path, path: &[u8]) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    let path = Path::new(std::ffi::OsStr::from_bytes(path));
    let inside = path.components().all(|part| matches!(part, Component::Normal(_)));
    (inside && path != Path::new("")).then(|| base.join(path))
}

/// The first directory on the way to `path` that is no directory.
fn in_the_way(base: &Path, path: &Path) -> Option<PathBuf> {
    let parts = path.strip_prefix(base).ok()?.parent()?.components();
    let mut at = base.to_owned();
    for part in parts {
        at.push(part);
        match std::fs::symlink_metadata(&at) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => return Some(at),
            Err(_) => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests;
