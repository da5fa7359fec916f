//! One layer: its archive is unpacked, its files' content goes to the image at once, and what is left is a list of
//! changes, to be made when the layers below are there.

use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use banger_archive::{Entry, EntryKind, shown};
use banger_bounded::{Budget, Checked, decompressed};
use banger_ext4::Lane;
use banger_oci::{LayerRef, Verified};

use crate::changes::{AUFS_LINKED, Change, Changes, without_overlay};
use crate::error::WriteError;
use crate::metadata::Metadata;

/// How much the layers of an image may be together.
#[derive(Debug)]
pub(crate) struct Bounds {
    bytes: u64,
    entries: u64,
    bytes_left: AtomicU64,
    entries_left: AtomicU64,
    /// There are more bytes.
    exceeded: AtomicBool,
    budget: Budget,
    metadata: Metadata,
}

impl Bounds {
    /// So many bytes when they are unpacked, and so many entries.
    pub(crate) fn new(bytes: u64, entries: u64, budget: Budget) -> Self {
        Self {
            budget,
            metadata: Metadata::default(),
            bytes,
            entries,
            bytes_left: bytes.into(),
            entries_left: entries.into(),
            exceeded: AtomicBool::new(false),
        }
    }

    fn entry(&self, entry: &Entry) -> Result<(), WriteError> {
        match take(&self.entries_left, 1) {
            true => Ok(self.metadata.entry(entry)?),
            false => Err(WriteError::TooMany(self.entries)),
        }
    }
}

/// Takes so much of what is left, if that much is left.
fn take(left: &AtomicU64, much: u64) -> bool {
    let taken = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
        left.checked_sub(much)
    });
    taken.is_ok()
}

/// Prefix of the names of whiteouts (the specification's `layer.md`, "Whiteouts").
const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
/// Prefix of what AUFS kept for itself.
const AUFS: &[u8] = b".wh..wh.";

/// Unpacks a layer. Its bytes are hashed as they come and as they are unpacked; nothing of it counts until both are
/// what they should be.
pub(crate) fn unpack(
    layer: &LayerRef,
    packed: impl Read + Send,
    mut lane: Lane,
    bounds: &Bounds,
) -> Result<Changes, WriteError> {
    let packed = Verified::new(packed, layer.sha256, Some(layer.size));
    let changes = thread::scope(|scope| {
        let tar = decompressed(scope, packed, Checked::ByDigest, bounds.budget).map_err(unread(0))?;
        let bounded = Bounded { from: tar, bounds };
        let mut tar = Verified::new(bounded, Some(layer.diff_sha256), None);
        let mut changes = Vec::new();
        banger_archive::read_unmarked::<WriteError>(&mut tar, &mut |entry, content| {
            bounds.entry(&entry)?;
            changes.extend(change(entry, content, &mut lane)?);
            Ok(())
        })?;
        // To the end, where both digests are compared.
        io::copy(&mut tar, &mut io::sink()).map_err(unread(changes.len() as u64))?;
        Ok::<_, WriteError>(changes)
    })
    // Whatever came of it on the way up.
    .map_err(|error| match bounds.exceeded.load(Ordering::Relaxed) {
        true => WriteError::TooLarge(bounds.bytes),
        false => error,
    })?;
    Changes::new(changes, lane)
}

fn unread(entries: u64) -> impl Fn(io::Error) -> WriteError {
    move |source| WriteError::archive(entries, source)
}

fn change(mut entry: Entry, content: &mut dyn Read, lane: &mut Lane) -> Result<Option<Change>, WriteError> {
    without_overlay(&mut entry.meta);
    let name = entry.name.strip_suffix(b"/").unwrap_or(&entry.name);
    let last = name.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    let dir = &name[..name.len() - last.len()];
    if last == OPAQUE {
        return Ok(Some(Change::Opaque(dir.to_vec())));
    }
    if is_of_aufs(&entry, name) {
        return Ok(None);
    }
    if let Some(gone) = last.strip_prefix(WHITEOUT) {
        if matches!(gone, b"" | b"." | b"..") {
            return Err(WriteError::Whiteout(shown(name)));
        }
        return Ok(Some(Change::Whiteout([dir, gone].concat())));
    }
    Change::of(entry, content, lane).map(Some)
}

/// Whether an entry was AUFS's own affair, and nothing leads to it.
fn is_of_aufs(entry: &Entry, name: &[u8]) -> bool {
    let mut parts = name
        .split(|&byte| byte == b'/')
        .filter(|part| !matches!(*part, b"" | b"."));
    let linked = parts.clone().next() == Some(AUFS_LINKED) && matches!(entry.kind, EntryKind::File { .. });
    !linked && parts.any(|part| part.starts_with(AUFS))
}

/// A reader that fails when nothing is left for what it reads.
struct Bounded<'a, R> {
    from: R,
    bounds: &'a Bounds,
}

impl<R: Read> Read for Bounded<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(buffer)?;
        if take(&self.bounds.bytes_left, read as u64) {
            return Ok(read);
        }
        self.bounds.exceeded.store(true, Ordering::Relaxed);
        Err(io::Error::other("the layer unpacks to more than the limit"))
    }
}
