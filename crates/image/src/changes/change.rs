//! One change of a layer.

use std::io::Read;

use banger_archive::{Entry, EntryKind, shown};
use banger_ext4::{Landed, Lane, Meta, Stored};

use crate::{WriteError, facts};

/// Where AUFS kept files with several names, below the root: hard links of the same layer may lead to them.
pub(crate) const AUFS_LINKED: &[u8] = b".wh..wh.plnk";

/// Takes away the attributes that overlayfs keeps for itself, under either of its names: a guest's overlay would obey those
/// of an image.
pub(crate) fn without_overlay(meta: &mut Meta) {
    meta.xattrs.retain(|xattr| {
        !xattr.name.starts_with(b"trusted.overlay.") && !xattr.name.starts_with(b"user.overlay.")
    });
}

/// What a layer does to the layers below it.
pub(crate) struct Changes {
    /// In the order in which they were found.
    pub(crate) list: Vec<Change>,
    /// Where the content went.
    pub(crate) landed: Landed,
}

/// One change.
pub(crate) enum Change {
    /// A regular file.
    File {
        name: Vec<u8>,
        meta: Meta,
        stored: Stored,
        /// Its content, where that tells something of the image.
        content: Option<Vec<u8>>,
    },
    /// Anything else that is there.
    Entry(Entry),
    /// This is not there any more.
    Whiteout(Vec<u8>),
    /// What lower layers have in this directory is not there any more.
    Opaque(Vec<u8>),
}

impl Change {
    /// The change that an entry is. A file's content is stored.
    pub(crate) fn of(entry: Entry, content: &mut dyn Read, lane: &mut Lane) -> Result<Self, WriteError> {
        let Entry { name, meta, kind } = entry;
        let EntryKind::File { size, segments } = kind else {
            return Ok(Self::Entry(Entry { name, meta, kind }));
        };
        let told = name.rsplit(|&byte| byte == b'/').next() == Some(b"os-release")
            && size < facts::LONGEST
            && segments.len() == 1;
        let mut store = |content: &mut dyn Read| {
            let stored = lane.store(&name, size, &segments, content);
            stored.map_err(|source| WriteError::Write {
                entry: shown(&name),
                source,
            })
        };
        let (stored, content) = if told {
            let mut bytes = Vec::new();
            content
                .read_to_end(&mut bytes)
                .map_err(|source| WriteError::archive(0, source))?;
            (store(&mut &bytes[..])?, Some(bytes))
        } else {
            (store(content)?, None)
        };
        Ok(Self::File {
            name,
            meta,
            stored,
            content,
        })
    }
}

impl Changes {
    /// The changes in `list`, whose content went through `lane`.
    pub(crate) fn new(list: Vec<Change>, lane: Lane) -> Result<Self, WriteError> {
        let landed = lane.finish().map_err(|source| WriteError::Image {
            what: "write",
            source,
        })?;
        Ok(Self { list, landed })
    }
}
