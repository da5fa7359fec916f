//! A layer as what it changes in the layers below it, wherever it comes from: an archive, or an image of the store.
//!
//! The content of its files is in the image that is being written already; what is left is a list, to be applied when the
//! layers below are there.

mod change;
mod stack;

pub(crate) use change::{AUFS_LINKED, Change, Changes, without_overlay};
pub(crate) use stack::add;
