//! Work on foreign images, kernels and disks, in a child that cannot take the daemon with it.
//!
//! ```text
//!  daemon ── stdin: the job, a line of JSON; then a tar, where the client sends one ──▶ bangerd image-worker
//!         ◀── stdout: progress and the outcome, lines of JSON; or a listing as bytes ──   (banger_confined)
//! ```
//!
//! Whatever decodes an archive, reads a file system or parses an image's documents is a [`Job`]. The child opens the
//! stores itself; several processes may. It ends when nobody reads what it says, so neither a client that leaves nor a
//! daemon that is killed leaves it behind. What it had begun goes then.
//!
//! Who does a job, on the child's side, is not known here: [`serve`] is given it.

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
