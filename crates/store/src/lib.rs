//! The common part of the stores of images and kernels: directories of named objects.
//!
//! A file or directory appears whole or not at all ([`Nameless`], [`Making`]); what a killed process leaves is swept away by
//! the next one. Beside the files lie records; one name may be [chosen](Choice); content is known by its [`Digest`].
//!
//! Nothing here knows what an image or a kernel is, and nothing reads what a foreign side sent.

mod choice;
mod digest;
mod error;
pub mod files;
mod making;
mod nameless;

pub use choice::Choice;
pub use digest::{Digest, Digesting, InvalidDigest};
pub use error::Error;
pub use files::OfFile;
pub use making::Making;
pub use nameless::Nameless;
