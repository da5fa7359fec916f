//! Why something of a catalog could not be had or made.

use std::path::PathBuf;

use banger_model::ErrorCode;

use super::artifact::Fault;
use super::{Digest, DocumentFault};
use crate::fetch;

/// A failure with a catalog.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No catalog is configured.
    #[error("no catalog is configured")]
    NoCatalogs,
    /// A file could not be fetched.
    #[error(transparent)]
    Fetch(#[from] fetch::Error),
    /// A file of this host, or the store.
    #[error(transparent)]
    Store(#[from] crate::Error),
    /// There is no document.
    #[error("catalog `{catalog}` is not there: there is no {place}")]
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
    #[error("catalog `{catalog}` is signed by key {by}, and not by the configured key {configured}")]
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
    #[error("understand catalog `{catalog}`")]
    Document {
        /// Its name.
        catalog: String,
        /// Why.
        #[source]
        source: DocumentFault,
    },
    /// Its publisher has made a newer one.
    #[error(
        "catalog `{catalog}` has the serial {serial}, and {seen} was seen before: it is an old state of it"
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
    #[error("catalog `{catalog}` was valid until {expires}")]
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
    #[error("{kind} `{name}` of catalog `{catalog}` is for {}, and this host is {host}", .for_machines.join(", "))]
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
    #[error("{artifact} has {} bytes and not {expected}, as its catalog says", if *.more { format!("more than {}", .bytes) } else { .bytes.to_string() })]
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
    #[error("{artifact} has the SHA-256 digest {found} and not {expected}, as its catalog says")]
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
    #[error("unpack the artifact of kernel `{name}`")]
    Unpack {
        /// The kernel.
        name: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A kernel cannot be packed.
    #[error("pack kernel `{name}`")]
    Pack {
        /// The kernel.
        name: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// An image's kernel cannot be brought along.
    #[error("bring along kernel `{kernel}` of image `{image}`")]
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
    #[error("use {} as secret key", .path.display())]
    SecretKey {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: minisign::PError,
    },
    /// A key is never made in the place of another.
    #[error("make a key pair: {} exists already", .0.display())]
    KeyExists(PathBuf),
    /// No key could be made, or nothing signed with it.
    #[error("{what}")]
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

    /// The kind of failure.
    pub fn kind(&self) -> ErrorCode {
        match self {
            Self::NoCatalogs
            | Self::NoDocument { .. }
            | Self::NotOffered { .. }
            | Self::NothingToPublish(_) => ErrorCode::NotFound,
            Self::Fetch(source) => source.kind(),
            Self::Along { source, .. } => source.kind(),
            Self::Store(source) => source.kind(),
            Self::Unsigned { .. }
            | Self::OtherKey { .. }
            | Self::Signature { .. }
            | Self::Document { .. }
            | Self::RolledBack { .. }
            | Self::Expired { .. }
            | Self::Length { .. }
            | Self::Digest { .. }
            | Self::Artifact { .. }
            | Self::Unpack { .. }
            | Self::SecretKey { .. } => ErrorCode::BadInput,
            Self::OtherMachine { .. } => ErrorCode::Unsupported,
            Self::Ambiguous { .. } => ErrorCode::InvalidRequest,
            Self::KeyExists(_) => ErrorCode::AlreadyExists,
            Self::Pack { .. } | Self::Sign { .. } => ErrorCode::Host,
        }
    }

    /// What to do next.
    pub fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::NoCatalogs => {
                "`banger kernel catalog add --help` shows how to add one, `banger kernel publish --help` how to make one"
            }
            Self::Fetch(source) => return source.hints(),
            Self::Along { kernel, source, .. } => {
                let other = "or choose the kernel yourself with `--kernel-ref`";
                return match &**source {
                    Self::Store(crate::Error::Exists { .. }) => vec![format!(
                        "another kernel of that name is here: replace it with `banger kernel pull {kernel} --force`, {other}"
                    )],
                    source => source.hints().into_iter().chain([other.to_owned()]).collect(),
                };
            }
            Self::Store(crate::Error::Exists { .. }) => "replace it with `--force`, or remove it first",
            Self::Store(source) => return source.hints(),
            Self::Unsigned { .. } => {
                "banger takes nothing that is not signed: ask who hosts it for the signature"
            }
            Self::OtherKey { .. } => {
                "if its publisher announced a new key elsewhere, remove the catalog and add it with that key"
            }
            Self::Signature { .. } => {
                "it may have been published anew in this moment: try again; if it stays so, it was tampered with"
            }
            Self::RolledBack { catalog, .. } => {
                return vec![format!(
                    "its server may be behind: try again later. If its publisher began anew: \
                     `banger kernel catalog rm {catalog}`, then `add` it again"
                )];
            }
            Self::Expired { .. } => "ask its publisher to publish it again, and check this host's clock",
            Self::NotOffered { present, .. } if !present.is_empty() => {
                return vec![format!("there are: {}", present.join(", "))];
            }
            Self::Ambiguous { .. } => "name one with `--catalog`",
            Self::Length { .. } | Self::Digest { .. } => {
                "do not use it; tell who hosts the catalog that the artifact is damaged or was tampered with"
            }
            Self::NothingToPublish(kind) => {
                return vec![format!("get one first: `banger {kind} import --help`")];
            }
            Self::KeyExists(_) => "sign with it: `--secret-key`",
            Self::SecretKey { .. } => {
                "it has to be one of minisign without a password (`minisign -GW`), or made with `--new-key`"
            }
            _ => return Vec::new(),
        };
        vec![hint.to_owned()]
    }
}
