//! What is in a directory, so that the host sends only what differs.

use std::fs::Metadata;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use banger_guest_api::query::encoded;
use banger_guest_api::{Failure, FilesDone, Listed, ListedKind};

use super::stream::Out;
use crate::failure::During;

/// Writes a line for all that is below `dir`. What goes away meanwhile is not told.
pub(super) fn below(dir: &Path, out: &mut Out<'_>) -> Result<FilesDone, Failure> {
    let mut done = FilesDone::default();
    if dir.is_dir() {
        walk(dir, b"", out, &mut done)?;
    }
    Ok(done)
}

fn walk(dir: &Path, under: &[u8], out: &mut Out<'_>, done: &mut FilesDone) -> Result<(), Failure> {
    let during = || format!("list {}", dir.display());
    for entry in std::fs::read_dir(dir).during(during())? {
        let entry = entry.during(during())?;
        let Ok(metadata) = entry.metadata() else { continue };
        let mut name = under.to_vec();
        name.extend_from_slice(entry.file_name().as_bytes());
        let mut line = serde_json::to_vec(&listed(&entry.path(), &name, &metadata)).during(during())?;
        line.push(b'\n');
        out.write_all(&line).during(during())?;
        done.entries += 1;
        if metadata.is_dir() {
            name.push(b'/');
            walk(&entry.path(), &name, out, done)?;
        }
    }
    Ok(())
}

fn listed(path: &Path, name: &[u8], metadata: &Metadata) -> Listed {
    let kind = if metadata.is_dir() {
        ListedKind::Directory
    } else if metadata.is_file() {
        ListedKind::File
    } else if metadata.is_symlink() {
        ListedKind::Symlink
    } else {
        ListedKind::Other
    };
    let target = (kind == ListedKind::Symlink)
        .then(|| std::fs::read_link(path).ok())
        .flatten();
    Listed {
        path: encoded(name),
        kind,
        mode: metadata.mode() & 0o7777,
        size: metadata.len(),
        mtime: (
            metadata.mtime(),
            u32::try_from(metadata.mtime_nsec()).unwrap_or_default(),
        ),
        target: target.map(|target| encoded(target.as_os_str().as_bytes())),
    }
}
