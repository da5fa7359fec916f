//! Why something of a catalog could not be had or made.

use std::path::PathBuf;

use banger_model::{Describe, Description, ErrorCode};
use banger_store::Digest;

use crate::document::DocumentFault;
use crate::fault::Fault;

/// A failure with a catalog.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No catalog is configured.
    #[error("no catalog is configured")]
    NoCatalogs,
    /// A file could not be fetched.
    #[error(transparent)]
    Fetch(#[from] banger_fetch::Error),
    /// A file of this host.
    #[error(transparent)]
    File(#[from] banger_store::Error),
    /// A kernel, or their store.
    #[error(transparent)]
    Kernel(#[from] banger_kernel::Error),
    /// An image, or their store.
    #[error(transparent)]
    Image(#[from] banger_image::Error),
    /// An image that is published.
    #[error(transparent)]
    Export(#[from] banger_image::ExportError),
    /// Nobody wants it any more.
    #[error("the import was cancelled")]
    Cancelled,
    /// There is no document.
    #[error("catalog `{catalog}` was not found: there is no {place}")]
    NoDocument {
        /// Its name.
        catalog: String,
        /// Where it should be.
        place: String,
    },
    /// Nobody vouches for the document.
    #[error("catalog `{catalog}` is not signed: there is no {place}")]
    Unsigned {
        /// Its name.
        catalog: String,
        /// Where the signature should be.
        place: String,
    },
    /// Somebody else vouches for it.
    #[error("catalog `{catalog}` is signed by key {by}, not by the configured key {configured}")]
    OtherKey {
        /// Its name.
        catalog: String,
        /// The number of the key that signed.
        by: String,
        /// The number of the key that should have.
        configured: String,
    },
    /// The signature is no signature, or of other bytes.
    #[error("the signature of catalog `{catalog}` is not valid")]
    Signature {
        /// Its name.
        catalog: String,
        /// Why.
        #[source]
        source: minisign::PError,
    },
    /// What was signed is no document.
    #[error("failed to parse the catalog `{catalog}`")]
    Document {
        /// Its name.
        catalog: String,
        /// Why.
        #[source]
        source: DocumentFault,
    },
    /// Its publisher has made a newer one.
    #[error(
        "catalog `{catalog}` has serial {serial}, but serial {seen} was seen before: this is an older version of the catalog"
    )]
    RolledBack {
        /// Its name.
        catalog: String,
        /// As it is now.
        serial: u64,
        /// The highest that was seen.
        seen: u64,
    },
    /// Nobody vouches for it any more.
    #[error("catalog `{catalog}` expired at {expires}")]
    Expired {
        /// Its name.
        catalog: String,
        /// Until when.
        expires: jiff::Timestamp,
    },
    /// No catalog has one of this name.
    #[error("there is no {kind} `{name}` in {}", .catalogs.join(", "))]
    NotOffered {
        /// `kernel` or `image`.
        kind: &'static str,
        /// The name.
        name: String,
        /// The catalogs that were asked.
        catalogs: Vec<String>,
        /// What they have of the kind.
        present: Vec<String>,
    },
    /// It is not for this machine.
    #[error("{kind} `{name}` of catalog `{catalog}` is for {}, but this host is {host}", .for_machines.join(", "))]
    OtherMachine {
        /// `kernel` or `image`.
        kind: &'static str,
        /// The name.
        name: String,
        /// The catalog.
        catalog: String,
        /// What it is for.
        for_machines: Vec<String>,
        /// What this is.
        host: &'static str,
    },
    /// Several catalogs have one.
    #[error("{kind} `{name}` is in several catalogs: {}", .catalogs.join(", "))]
    Ambiguous {
        /// `kernel` or `image`.
        kind: &'static str,
        /// The name.
        name: String,
        /// The catalogs.
        catalogs: Vec<String>,
    },
    /// The artifact has another length than the document says.
    #[error("{artifact} has {} bytes, but its catalog specifies {expected}", if *.more { format!("more than {}", .bytes) } else { .bytes.to_string() })]
    Length {
        /// The artifact.
        artifact: String,
        /// Bytes that came.
        bytes: u64,
        /// Whether there were more to come.
        more: bool,
        /// Bytes that it should have.
        expected: u64,
    },
    /// The artifact is not the one that the document vouches for.
    #[error("{artifact} has the SHA-256 digest {found}, but its catalog specifies {expected}")]
    Digest {
        /// The artifact.
        artifact: String,
        /// Its digest.
        found: Digest,
        /// The digest it should have.
        expected: Digest,
    },
    /// What is in the artifact is no kernel as the store keeps them.
    #[error("the artifact of kernel `{name}` {fault}")]
    Artifact {
        /// The kernel.
        name: String,
        /// What is wrong.
        fault: Fault,
    },
    /// The artifact cannot be read.
    #[error("failed to unpack the artifact of kernel `{name}`")]
    Unpack {
        /// The kernel.
        name: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A kernel cannot be packed.
    #[error("failed to pack kernel `{name}`")]
    Pack {
        /// The kernel.
        name: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// An image's kernel cannot be brought along.
    #[error("failed to pull kernel `{kernel}` that image `{image}` needs")]
    Along {
        /// The image.
        image: String,
        /// The kernel.
        kernel: String,
        /// Why.
        #[source]
        source: Box<Error>,
    },
    /// There is nothing to publish.
    #[error("there is no {0} to publish")]
    NothingToPublish(&'static str),
    /// A file is no secret key that can be used.
    #[error("cannot use {} as the secret key", .path.display())]
    SecretKey {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: minisign::PError,
    },
    /// A key is never made in the place of another.
    #[error("cannot create a key pair: {} already exists", .0.display())]
    KeyExists(PathBuf),
    /// No key could be made, or nothing signed with it.
    #[error("failed to {what}")]
    Sign {
        /// What was done.
        what: &'static str,
        /// Why.
        #[source]
        source: minisign::PError,
    },
}

impl Error {
    /// Whether a catalog answered, and nobody vouches for what it said.
    pub fn is_of_trust(&self) -> bool {
        matches!(
            self,
            Self::Unsigned { .. }
                | Self::OtherKey { .. }
                | Self::Signature { .. }
                | Self::Document { .. }
                | Self::RolledBack { .. }
                | Self::Expired { .. }
        )
    }

    /// Whether a kernel or an image of this name is here already.
    fn is_taken(&self) -> bool {
        use banger_store::Error::Exists;
        matches!(
            self,
            Self::Kernel(banger_kernel::Error::Store(Exists { .. }))
                | Self::Image(banger_image::Error::Store(Exists { .. }))
        )
    }
}

/// What to do when an image's kernel cannot be brought along.
fn of_kernel_along(kernel: &str, source: &Error) -> Description {
    let other = "or specify the kernel with `--kernel-ref`";
    let own = source.describe();
    if source.is_taken() {
        return Description::hinted(
            own.code,
            format!(
                "another kernel of that name exists locally: replace it with `banger kernel pull {kernel} --force`, {other}"
            ),
        );
    }
    own.and(other)
}

impl Describe for Error {
    fn describe(&self) -> Description {
        match self {
            Self::Fetch(source) => source.describe(),
            Self::Along { kernel, source, .. } => of_kernel_along(kernel, source),
            taken if taken.is_taken() => Description::hinted(
                ErrorCode::AlreadyExists,
                "replace the existing one with `--force`, or remove it first",
            ),
            Self::File(source) => source.describe(),
            Self::Kernel(source) => source.describe(),
            Self::Image(source) => source.describe(),
            Self::Export(source) => source.describe(),
            Self::NoCatalogs => Description::hinted(
                ErrorCode::NotFound,
                "see `banger kernel catalog add --help` to add a catalog, `banger kernel publish --help` to create one",
            ),
            Self::NotOffered { present, .. } if !present.is_empty() => {
                Description::hinted(ErrorCode::NotFound, format!("available: {}", present.join(", ")))
            }
            Self::NothingToPublish(kind) => Description::hinted(
                ErrorCode::NotFound,
                format!("import one first: see `banger {kind} import --help`"),
            ),
            Self::NoDocument { .. } | Self::NotOffered { .. } => ErrorCode::NotFound.into(),
            Self::Unsigned { .. } => Description::hinted(
                ErrorCode::BadInput,
                "only signed catalogs are accepted: ask the publisher of the catalog for the signature",
            ),
            Self::OtherKey { .. } => Description::hinted(
                ErrorCode::BadInput,
                "if its publisher announced a new key elsewhere, remove the catalog and add it with that key",
            ),
            Self::Signature { .. } => Description::hinted(
                ErrorCode::BadInput,
                "the catalog may have been republished just now: try again; if this error persists, it was tampered with",
            ),
            Self::RolledBack { catalog, .. } => Description::hinted(
                ErrorCode::BadInput,
                format!(
                    "the server may be out of date: try again later. If the publisher restarted the catalog: \
                     `banger kernel catalog rm {catalog}`, then `add` it again"
                ),
            ),
            Self::Expired { .. } => Description::hinted(
                ErrorCode::BadInput,
                "ask the publisher to publish the catalog again, and check this host's clock",
            ),
            Self::Length { .. } | Self::Digest { .. } => Description::hinted(
                ErrorCode::BadInput,
                "do not use it; report to the publisher of the catalog that the artifact is damaged or was tampered with",
            ),
            Self::SecretKey { .. } => Description::hinted(
                ErrorCode::BadInput,
                "use a minisign key without a password (`minisign -GW`), or create one with `--new-key`",
            ),
            Self::Document { .. } | Self::Artifact { .. } | Self::Unpack { .. } => ErrorCode::BadInput.into(),
            Self::OtherMachine { .. } => ErrorCode::Unsupported.into(),
            Self::Ambiguous { .. } => {
                Description::hinted(ErrorCode::InvalidRequest, "specify one with `--catalog`")
            }
            Self::KeyExists(_) => {
                Description::hinted(ErrorCode::AlreadyExists, "use the existing key: `--secret-key`")
            }
            Self::Pack { .. } | Self::Sign { .. } => ErrorCode::Host.into(),
            Self::Cancelled => ErrorCode::Cancelled.into(),
        }
    }
}
