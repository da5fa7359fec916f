//! How much what a foreign side sent may become.
//!
//! An archive is bounded in what it unpacks to, not in its own bytes alone: a layer of 100 KB may say 100 GB of zeros, a
//! header of 20 bytes may ask for a dictionary of 1.5 GB, and an entry's attributes may be longer than its content.

use std::io::{self, ErrorKind, Read};

use banger_model::{Describe, Description, ErrorCode};

/// What an archive that is packed may unpack to without asking how well it is packed: files of zeros are honest.
const FREE: u64 = 4 << 30;

/// Four times what Linux takes at once (PATH_MAX): deeper trees can be made step by step.
pub const LONGEST_PATH: usize = 16 << 10;

/// Attributes of one entry, with their names: what ext4 has room for is a block of 4096 bytes, and the inode's rest.
pub const MOST_ATTRIBUTES: usize = 8192;

/// What a packed stream may become.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// The most bytes.
    pub most: u64,
    /// The most bytes for each that was packed, beyond some gigabytes.
    pub ratio: u64,
    /// The largest window or dictionary that a decoder keeps.
    pub window: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            most: 256 << 30,
            ratio: 200,
            window: 128 << 20,
        }
    }
}

impl Budget {
    /// The exponent of the largest window for zstd, which knows those between 10 and 31.
    pub fn window_log(&self) -> u32 {
        self.window.max(1).ilog2().clamp(10, 31)
    }

    /// The memory of a decoder of xz or lzma: its dictionary and its tables (`xz --info-memory`).
    pub fn dictionary(&self) -> u64 {
        self.window.saturating_add(2 << 20)
    }

    /// Whether so much may come of so much.
    pub fn allows(&self, packed: u64, unpacked: u64) -> Result<(), Exceeded> {
        if unpacked > self.most {
            return Err(Exceeded::Bytes(self.most));
        }
        if unpacked > FREE.saturating_add(packed.saturating_mul(self.ratio)) {
            return Err(Exceeded::Ratio { packed, unpacked });
        }
        Ok(())
    }
}

/// An archive that becomes more than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Exceeded {
    /// More bytes.
    #[error("the content unpacks to more than {0} bytes")]
    Bytes(u64),
    /// More than anything that was packed honestly.
    #[error("the first {packed} bytes unpack to more than {unpacked}: this may be a decompression bomb")]
    Ratio {
        /// Bytes that were read.
        packed: u64,
        /// Bytes that came of them.
        unpacked: u64,
    },
    /// It wants more memory to be unpacked.
    #[error("unpacking needs a window of more than {0} bytes")]
    Window(u64),
    /// More of names, attributes and maps than of any image.
    #[error("the names, attributes and maps of the entries are larger than {0} bytes")]
    Metadata(u64),
    /// More of headers than an archive of an image has.
    #[error("the headers of the entries are larger than {0} bytes")]
    Headers(u64),
    /// A name.
    #[error("an entry has a path of {0} bytes, more than {LONGEST_PATH}")]
    Path(usize),
    /// Attributes of one entry.
    #[error("an entry has {0} bytes of attributes, more than the {MOST_ATTRIBUTES} that a file system holds")]
    Attributes(usize),
    /// A document with more parts than any.
    #[error("the {what} has more than {most} {parts}")]
    Document {
        /// Which document.
        what: &'static str,
        /// How many it may have.
        most: usize,
        /// Of what.
        parts: &'static str,
    },
    /// A compressed kernel, package or module.
    #[error("the {what} unpacks to more than {most} bytes")]
    Part {
        /// Which.
        what: &'static str,
        /// Bytes.
        most: u64,
    },
}

impl Describe for Exceeded {
    fn describe(&self) -> Description {
        let raised = |key| {
            Description::hinted(
                ErrorCode::BadInput,
                format!("raise `{key}` in `[pull]` of the configuration if this size is expected"),
            )
        };
        match self {
            Self::Bytes(_) => raised("max_size"),
            Self::Ratio { .. } => raised("max_ratio"),
            Self::Window(_) => raised("max_window"),
            Self::Metadata(_)
            | Self::Headers(_)
            | Self::Path(_)
            | Self::Attributes(_)
            | Self::Document { .. }
            | Self::Part { .. } => ErrorCode::BadInput.into(),
        }
    }
}

impl From<Exceeded> for io::Error {
    fn from(exceeded: Exceeded) -> Self {
        Self::new(ErrorKind::InvalidData, exceeded)
    }
}

/// The budget that an error of a reader says was exceeded.
pub fn exceeded(error: &io::Error) -> Option<Exceeded> {
    error.get_ref()?.downcast_ref().copied()
}

/// Reads `from` whole, if it has no more than `most` bytes.
pub fn read_whole(what: &'static str, most: u64, from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(Exceeded::Part { what, most }.into());
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_packed_well_is_allowed_and_what_was_made_to_fill_is_not() {
        let budget = Budget::default();
        // Real data, a file of zeros, and gzip's best on more zeros than that.
        assert_eq!(budget.allows(100 << 20, 1 << 30), Ok(()));
        assert_eq!(budget.allows(4 << 20, 4 << 30), Ok(()));
        assert!(matches!(
            budget.allows(8 << 20, 8 << 30),
            Err(Exceeded::Ratio { .. })
        ));
        assert_eq!(budget.allows(2 << 30, 300 << 30), Err(Exceeded::Bytes(256 << 30)));
        assert_eq!((budget.window_log(), budget.dictionary() > 128 << 20), (27, true));
    }
}
