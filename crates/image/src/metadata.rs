//! How much the names, attributes and maps of an image's entries may be.

use std::sync::atomic::{AtomicU64, Ordering};

use banger_archive::{Entry, EntryKind};
use banger_bounded::{Exceeded, LONGEST_PATH, MOST_ATTRIBUTES};

/// Bytes of names, targets, attributes and maps of all entries of an image together. 4,000,000 entries of real images have
/// about 300 MiB.
const MOST_METADATA: u64 = 640 << 20;

/// Names, attributes and maps of all entries of an image, which are kept until it is complete.
#[derive(Debug)]
pub(crate) struct Metadata(AtomicU64);

impl Default for Metadata {
    fn default() -> Self {
        Self(AtomicU64::new(MOST_METADATA))
    }
}

impl Metadata {
    /// Counts an entry.
    pub(crate) fn entry(&self, entry: &Entry) -> Result<(), Exceeded> {
        let target = match &entry.kind {
            EntryKind::Symlink(target) | EntryKind::HardLink(target) => target.len(),
            _ => 0,
        };
        for path in [entry.name.len(), target] {
            if path > LONGEST_PATH {
                return Err(Exceeded::Path(path));
            }
        }
        let segments = match &entry.kind {
            EntryKind::File { segments, .. } => segments.len(),
            _ => 0,
        };
        let xattrs = &entry.meta.xattrs;
        let attributes: usize = xattrs
            .iter()
            .map(|xattr| xattr.name.len() + xattr.value.len())
            .sum();
        if attributes > MOST_ATTRIBUTES {
            return Err(Exceeded::Attributes(attributes));
        }
        // What allocations cost is counted, too.
        let bytes = entry.name.len() + target + attributes + xattrs.len() * 64 + segments * 16;
        self.take(bytes as u64)
    }

    fn take(&self, bytes: u64) -> Result<(), Exceeded> {
        let left = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
            left.checked_sub(bytes)
        });
        left.map(drop).map_err(|_| Exceeded::Metadata(MOST_METADATA))
    }
}
