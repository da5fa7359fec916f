//! The rules of a VM's life: creating, starting, stopping, deleting and pruning VMs, operations in a running VM, the protection of
//! unsaved work, trust in repositories, and the recovery of state that an earlier daemon left.
//!
//! One task for each VM is the only writer of its state ([`Vms`], [`Handle`]); an intent is stored before its effects. A client's
//! request is one call of this crate, for every client. This crate knows nothing of HTTP. It looks images and kernels up in their
//! stores; `banger-stores` makes them.

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
