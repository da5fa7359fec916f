//! What a repository asks of the VM that it goes into.
//!
//! ```text
//!  banger.toml ─────────▶ own ──────────┐
//!  devcontainer.json ───▶ devcontainer ─┼─▶ Wishes ──▶ limits (what a repository may not ask)
//!  .tool-versions, … ───▶ TOOLS ────────┘
//! ```
//!
//! Whoever wrote the repository wrote these files, so they are read as a stranger's: they may shape the VM and let it
//! reach the public Internet, and nothing of the host's.

mod ceilings;
mod devcontainer;
mod error;
mod files;
mod limits;
mod names;
mod own;
mod stated;
mod wishes;

pub use ceilings::{Ceilings, Set as SetCeilings};
pub use error::Error;
pub use wishes::{digest, wishes};
