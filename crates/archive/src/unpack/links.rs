//! Which links of an archive are made: none by which a later copy, or its user, would leave what was copied.
//!
//! Of symbolic links, [`Dir::leads_out`] decides. A hard link leads to what the same archive brought, and to nothing that was
//! there before.

use std::collections::HashSet;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

use banger_hostfs::Dir;

/// What becomes of symbolic links that lead out of what is copied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Links {
    /// They are made as they are: the archive is its user's own.
    #[default]
    Keep,
    /// They are left out, which a note tells.
    Within,
}

/// What this archive brought, by device and inode.
#[derive(Debug, Default)]
pub(super) struct Brought(HashSet<(u64, u64)>);

impl Brought {
    pub(super) fn add(&mut self, metadata: &Metadata) {
        self.0.insert((metadata.dev(), metadata.ino()));
    }

    pub(super) fn has(&self, metadata: &Metadata) -> bool {
        self.0.contains(&(metadata.dev(), metadata.ino()))
    }
}

/// Whether a link with this target, in the directory `above` below `base`, leads out of the trees called `tops`, or out of
/// `base` if that is empty.
pub(super) fn leads_out(base: &Dir, above: &[&[u8]], target: &[u8], tops: &[&[u8]]) -> bool {
    base.leads_out(above, target, |at| {
        tops.is_empty() || at.first().is_some_and(|first| tops.contains(&first.as_slice()))
    })
}
