//! Images: the store that holds them, what imports into it, and what comes out of it.
//!
//! An image becomes an ext4 file system without a mount and without root: the archive's content goes straight into its
//! blocks ([`banger_ext4`]). Nothing of an archive is ever unpacked on the host's file system. Where images of registries,
//! layouts and archives come from is [`banger_oci`]'s; nothing here knows kernels but by their names, or catalogs.
//!
//! Everything here blocks; a caller that must not gives it a thread.

pub mod disk;

mod blobs;
mod changes;
mod commit;
mod diff;
mod error;
mod export;
mod facts;
mod flatten;
mod follow;
mod import;
mod layer;
mod metadata;
mod options;
mod parts;
mod promote;
mod pull;
mod read;
mod record;
mod store;
mod told;
mod tree;

pub use banger_ext4::Error as DiskError;
pub use commit::Committing;
pub use diff::Difference;
pub use error::{EntryFault, Error, ExportError, ReadError, WriteError};
pub use export::{Exported, write_archive};
pub use facts::Facts;
pub use flatten::flatten;
pub use import::ImportSource;
pub use layer::{Layer, LayerKind};
pub use options::{PullOptions, PullProgress};
pub use pull::{Pull, Pulled};
pub use record::{ImageRecord, ImagesPruned, ImportOptions};
pub use store::ImageStore;
pub use told::{Cancelled, Progress};
