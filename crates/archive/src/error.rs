//! What is wrong with an archive.

/// An archive could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read on: truncated, damaged, or no archive.
    #[error("failed to read the archive after {entries} entries")]
    Archive {
        /// Entries that were read before.
        entries: u64,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It has no end: something is missing.
    #[error("the archive is truncated: it ends after {entries} entries without an end marker")]
    Truncated {
        /// Entries that were read.
        entries: u64,
    },
    /// An entry is not what the format says.
    #[error("entry `{entry}` {fault}")]
    Entry {
        /// Its name.
        entry: String,
        /// What is wrong with it.
        fault: EntryFault,
    },
}

/// What is wrong with an archive's entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryFault {
    /// A link without a target.
    #[error("is a link without a target")]
    NoTarget,
    /// A field of its header is not what the format says.
    #[error("has a damaged header: {0}")]
    Header(String),
    /// A kind of entry that no file is of.
    #[error("has the unsupported type `{0}`")]
    Kind(String),
}
