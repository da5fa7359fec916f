//! What git waits for without end: it opens some files by their names alone, in whatever directory they are, and a named pipe
//! or a device that has such a name may never say anything. Git runs for milliseconds, so nobody looks for them before it has
//! run for [`SLOW`].

use std::collections::VecDeque;
use std::fs::FileType;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::{Dir, Error};

/// How long git may take before it is looked whether it waits.
pub(crate) const SLOW: Duration = Duration::from_millis(500);

/// Names that git, or a filter of its user's, opens wherever it finds them; the last ones in what looks like a git directory,
/// which each directory of a work tree may.
const NAMES: [&str; 11] = [
    ".gitignore",
    ".gitattributes",
    ".gitmodules",
    ".mailmap",
    ".lfsconfig",
    "HEAD",
    "commondir",
    "config",
    "config.worktree",
    "gitdir",
    "packed-refs",
];

/// Where a git directory has references, each of which is a file.
const REFERENCES: &str = "refs";

/// Directories of a git directory that git does not read for a work tree above it, and that are large.
const PASSED_OVER: [&str; 3] = ["objects", "hooks", "lfs"];

/// So many directories are looked into.
const DIRECTORIES: usize = 500_000;

/// What git waits for in the work tree at `root`, if it waits.
pub(crate) fn find(root: &Path) -> Option<Error> {
    let top = Dir::open(root).ok()?;
    // Those near the top first: git meets them first, too.
    let mut dirs = VecDeque::from([PathBuf::new()]);
    let mut left = DIRECTORIES;
    while let Some(dir) = dirs.pop_front().filter(|_| left > 0) {
        left -= 1;
        let Ok(entries) = top
            .dir(&dir)
            .and_then(|dir| dir.map_or(Ok(Vec::new()), |dir| dir.entries()))
        else {
            continue;
        };
        let is_git_dir = entries.iter().any(|(name, _)| name == "HEAD");
        for (name, kind) in entries {
            let path = dir.join(&name);
            if kind.is_file() {
                continue;
            }
            if !kind.is_dir() {
                if let Some(kind) = is_opened(&path).then(|| waits(&root.join(&path))).flatten() {
                    let path = root.join(path);
                    return Some(Error::Waits { path, kind });
                }
            } else if !(is_git_dir && PASSED_OVER.iter().any(|passed| name == *passed)) {
                dirs.push_back(path);
            }
        }
    }
    None
}

/// Whether git opens a file at this path of a work tree because of its name.
fn is_opened(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_bytes();
    NAMES
        .iter()
        .any(|known| known.as_bytes().eq_ignore_ascii_case(name))
        || path.iter().any(|part| part == REFERENCES)
}

/// Why who opens this file and reads it may wait; nothing when it will not.
fn waits(path: &Path) -> Option<&'static str> {
    // Git follows some links of these names, and versions of it follow all.
    let is_link = path.symlink_metadata().ok()?.is_symlink();
    let kind: FileType = path.metadata().ok()?.file_type();
    Some(match (is_link, kind) {
        (false, kind) if kind.is_fifo() => "a named pipe",
        (true, kind) if kind.is_fifo() => "a link to a named pipe",
        (false, kind) if kind.is_char_device() || kind.is_block_device() => "a device",
        (true, kind) if kind.is_char_device() || kind.is_block_device() => "a link to a device",
        _ => return None,
    })
}
