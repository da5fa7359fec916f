//! Catalogs: signed lists of kernels and images that can be pulled from a URL or a path.
//!
//! ```text
//!  catalog.json           what there is, with sizes and digests        (document)
//!  catalog.json.minisig   by the key that the user's configuration names (signature)
//!  NAME-DIGEST.tar.zst    a kernel as the store keeps it                (artifact)
//!  NAME-DIGEST.oci.tar    an image as it is exported                    (banger_image)
//! ```
//!
//! Trust goes one way: the configured key vouches for the document, the document for each artifact. Nothing is parsed
//! before it was vouched for, and nothing is placed in the store before all of it was there. `docs/kernel-catalog.md`
//! specifies the format.
//!
//! This crate lies above both stores: what it publishes comes out of them, what it pulls goes into them. They know nothing of it.

mod artifact;
mod configured;
mod document;
mod error;
mod fault;
mod find;
mod freshness;
mod location;
mod offered;
mod publish;
mod pull;
mod pull_image;
mod read;
mod secret;
mod signature;
mod stream;

pub use configured::Catalog;
pub use document::{Document, DocumentFault};
pub use error::Error;
pub use fault::Fault;
pub use location::{Location, LocationFault, RelativeLocation};
pub use offered::{CatalogImage, CatalogKernel};
pub use publish::{Publish, PublishOptions, Published, publish};
pub use pull::{PullOptions, Pulled, pull_kernel};
pub use pull_image::{ImagePullOptions, Offered, OnBytes, Stores, find_image, pull_image};
pub use secret::PublishKey;
pub use signature::{InvalidKey, PublicKey};
