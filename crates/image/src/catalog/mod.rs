//! Catalogs: signed lists of kernels and images that can be pulled from a URL or a path.
//!
//! ```text
//!  catalog.json           what there is, with sizes and digests        (document)
//!  catalog.json.minisig   by the key that the user's configuration names (signature)
//!  NAME-DIGEST.tar.zst    a kernel as the store keeps it                (artifact)
//!  NAME-DIGEST.oci.tar    an image as it is exported                    (images/export)
//! ```
//!
//! Trust goes one way: the configured key vouches for the document, the document for each artifact. Nothing is parsed
//! before it was vouched for, and nothing is placed in the store before all of it was there. `docs/kernel-catalog.md`
//! specifies the format.

mod artifact;
mod document;
mod error;
mod find;
mod freshness;
mod place;
mod publish;
mod pull;
mod pull_image;
mod read;
mod secret;
mod signature;

pub use crate::digest::Digest;
pub use artifact::Fault;
pub use document::{CatalogImage, CatalogKernel, Document, DocumentFault};
pub use error::Error;
pub use place::{Location, LocationFault, RelativeLocation};
pub use publish::{Publish, PublishOptions, Published, publish};
pub use pull::{PullOptions, Pulled};
pub use pull_image::{ImagePullOptions, Offered, OnBytes, Stores, find_image, pull_image};
pub use read::Catalog;
pub use secret::PublishKey;
pub use signature::{InvalidKey, PublicKey};
