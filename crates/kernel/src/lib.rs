//! Kernels: the store that holds them, what imports into it, and the initrd that guests boot with.
//!
//! A kernel is kept in the forms that VMMs take, with the modules that a guest needs to find its disks; [`initrd`] packs these
//! with the agent. Kernels come from files, Debian packages or the host ([`Source`]); packages and compressed kernels are
//! foreign input, and read within bounds. Nothing here knows images, catalogs or the network.
//!
//! Everything here blocks; a caller that must not gives it a thread.

pub mod initrd;

mod build;
mod config;
mod deb;
mod error;
mod found;
mod modules;
mod record;
mod source;
mod store;
mod vmlinux;

pub use build::KernelOptions;
pub use error::Error;
pub use record::{KernelRecord, bytes_in, now};
pub use source::Source;
pub use store::{KernelStore, RECORD};
pub use vmlinux::{arch_of, version_of};
