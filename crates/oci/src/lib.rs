//! Images of the Open Container Initiative and of Docker, up to their packed layers: references, registries, documents,
//! layouts and archives.
//!
//! ```text
//!  reference ──▶ source ──▶ documents ──▶ layers as they are packed
//!                registry     index
//!                layout       manifest
//!                archive      configuration
//! ```
//!
//! All that a registry or an archive says is bounded where it is read, and nothing is trusted before its digest is compared
//! ([`Verified`]). What is in a layer is nothing to this crate: it knows no file systems and no stores of images.

mod answer;
mod blob;
mod challenge;
mod document;
mod endpoint;
mod error;
mod find;
mod glimpse;
mod layout;
mod members;
mod mismatch;
mod platform;
mod reference;
mod registry;
mod repository;
mod retry;
mod saved;
mod source;
mod verified;

pub use answer::Answer;
pub use banger_fetch::Limits;
pub use banger_logins::Login;
pub use document::LayerRef;
pub use endpoint::RegistryOptions;
pub use error::Error;
pub use find::{Described, Found, digest_now, find};
pub use glimpse::glimpse;
pub use mismatch::Mismatch;
pub use platform::Platform;
pub use reference::PullSource;
pub use verified::Verified;
