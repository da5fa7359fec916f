//! Work on untrusted images, kernels and disks, in a child process whose failure does not affect the daemon.
//!
//! ```text
//!  daemon ── stdin: the job, a line of JSON; then a tar, where the client sends one ──▶ bangerd image-worker
//!         ◀── stdout: progress and the outcome, lines of JSON; or a listing as bytes ──   (banger_confined)
//! ```
//!
//! Whatever decodes an archive, reads a file system or parses an image's documents is a [`Job`]. The child opens the
//! stores itself; several processes may. It ends when nobody reads its output, so it does not outlive a client that leaves or a
//! daemon that is killed, and it removes what it had begun.
//!
//! This crate does not know how a job is done in the child: [`serve`] gets the function.

mod child;
mod job;
mod limits;
mod order;
mod stores;
mod workers;

pub use child::{Answer, Listing, Perform, serve};
pub use job::{Job, PulledImage, PulledKernel};
pub use stores::{Stores, StoresError};
pub use workers::Workers;
