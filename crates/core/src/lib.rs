//! Every rule of a VM's life: creating, starting, stopping, deleting and pruning VMs, what is done in one that runs, what keeps
//! unsaved work, which repositories are trusted, and what a daemon does with what an earlier one left.
//!
//! One task for each VM is the only writer of its state ([`Vms`], [`Handle`]); an intent is stored before its effects. A client's
//! request is one call here, whoever the client is: nothing of HTTP is known, and images and kernels are looked up in their
//! stores, not made (`banger-stores`).

mod access;
mod pulls;
mod trust;
mod vm;

pub use access::FileTransfer;
pub use pulls::Pulls;
pub use trust::Error as TrustError;
pub use vm::{
    Context, Copies, Error, Handle, Held, ImageRef, Live, PruneError, Registry, State, Vms, Wanted,
    configure_programs, runtime, scratch,
};
