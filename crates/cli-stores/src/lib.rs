//! The commands of images, kernels and catalogs: `banger image`, `banger kernel`, and `prune`; and the first of both.
//!
//! One file per command, whose `Args` doc comment is its help. Uses `command`, which commands share, and through it
//! the daemon's API.

#![expect(
    missing_docs,
    reason = "the docs of commands and their arguments are help texts"
)]

mod available;
pub mod first;
pub mod image;
pub mod kernel;
pub mod prune;
mod publish;
mod stored;
