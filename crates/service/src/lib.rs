//! The root helper as a service of this host: where its files are, what is done to install it, and how it is.
//!
//! ```text
//!  command ──▶ look (what there is) ──▶ plan (actions, pure) ──▶ perform (files, systemctl)
//! ```
//!
//! Nothing here prints. It uses `api`, `client` (where the daemon's program is, which knows how to ask the helper) and `model`.
//!
//! Root runs a copy, in directories that are root's alone: who can write to a checkout must not thereby be root.

mod error;
pub mod look;
pub mod perform;
mod place;
pub mod plan;
pub mod trust;
mod unit;

pub use error::Error;
pub use place::{PROGRAM, Place, unit_of};
