//! Images and kernels: the stores that hold them, and what imports into them.
//!
//! An image becomes an ext4 file system without a mount and without root: the archive's content goes straight into its
//! blocks ([`banger_ext4`]). Nothing of an archive is ever unpacked on the host's file system. A kernel is kept in the
//! forms that VMMs take, with the modules that a guest needs to find its disks; [`initrd`] packs these with the agent. A
//! [`catalog`] is a signed list of kernels that can be pulled.
//!
//! Everything here blocks; a caller that must not gives it a thread.

pub mod catalog;
pub mod disk;
pub mod fetch;
pub mod initrd;

mod budget;
mod changes;
mod choice;
mod compression;
mod describe;
mod digest;
mod error;
mod facts;
mod files;
mod gzip;
mod images;
mod import;
mod kernel;
mod oci;
mod told;
mod tree;
mod waiting;

pub use banger_ext4::Error as DiskError;
pub use banger_logins::Login;
pub use budget::Exceeded;
pub use error::Error;
pub use facts::Facts;
pub use images::{
    Committing, Difference, Exported, ImageRecord, ImageStore, ImagesPruned, ImportOptions, Layer, LayerKind,
    Pull, Pulled, flatten,
};
pub use import::ImportSource;
pub use kernel::{KernelOptions, KernelRecord, KernelStore, Source};
pub use oci::{
    Answer as RegistryAnswer, Error as PullError, Platform, PullOptions, PullProgress,
    PullSource, RegistryOptions,
};
pub use told::Progress;
