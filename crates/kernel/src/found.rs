//! A kernel before it is in the store.

use std::path::PathBuf;

/// A kernel's files, wherever they lie.
#[derive(Debug)]
pub(crate) struct Found {
    /// An ELF or a bzImage.
    pub(crate) kernel: PathBuf,
    pub(crate) initrd: Option<PathBuf>,
    pub(crate) modules: Option<PathBuf>,
    pub(crate) config: Option<PathBuf>,
    /// Where it came from.
    pub(crate) words: String,
}
