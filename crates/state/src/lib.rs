//! The database: which VMs there are, which machines run, and what is known of kernels on this host.
//!
//! One SQLite file in WAL mode. The daemon is its one writer (it holds a lock beside the file), so a mutex
//! is all the concurrency there is; a statement takes microseconds, so it is called from async code directly.
//!
//! A machine's row is the *intent*: it is stored before anything of the machine exists and deleted when nothing of
//! it is left. So whatever a daemon that dies leaves behind, its successor finds a row that tells where to look.
//!
//! What a VM's image, a machine's record and the facts of a ready guest are is for those who keep them here, as JSON: the types
//! are theirs, and this crate knows the model alone.

mod database;
mod error;
mod intents;
mod json;
mod learned;
mod machines;
mod migrations;
mod reserve;
mod slots;
mod trust;
mod verdicts;
mod vms;

pub use database::Database;
pub use error::Error;
pub use machines::MachineRow;
pub use trust::TrustRow;
pub use verdicts::Verdict;
pub use vms::VmRow;
