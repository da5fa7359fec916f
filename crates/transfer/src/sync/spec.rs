//! What is asked for, and what is told of it.

use std::path::{Path, PathBuf};

/// What a synchronisation is of.
#[derive(Debug)]
pub struct Sync {
    /// The tree, an absolute path without symbolic links.
    pub root: PathBuf,
    /// The directory in the guest.
    pub to: Vec<u8>,
    /// Remove what is in the directory and not in the tree.
    pub delete: bool,
    /// What goes that could stay.
    pub extent: Extent,
    /// Give everything to this user and group.
    pub owner: Option<(u32, u32)>,
}

/// How much of a tree goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// What git tracks, or would if it was asked to, but for what looks like a secret.
    Usual,
    /// The same, and untracked files that look like secrets.
    WithSecrets,
    /// All but git's own directories.
    All,
}

/// What happened.
#[derive(Debug)]
pub enum Event<'a> {
    /// A file, link or directory was sent.
    Pushed(&'a Path),
    /// One was removed.
    Removed(&'a [u8]),
    /// One stays, because it cannot be read, or looks like a secret.
    Skipped(&'a Path, &'a str),
    /// Git was not asked what it tracks, for this reason: what patterns name stays, tracked or not.
    Unasked(&'a str),
    /// What came together is done.
    Done {
        /// How many were sent.
        pushed: usize,
        /// How many were removed.
        removed: usize,
        /// Bytes of file content.
        bytes: u64,
    },
    /// From now on, changes are sent as they happen.
    Watching,
    /// The way to the guest is another one (its daemon ended, and another one runs), and what differs is sent.
    Restarted,
}
