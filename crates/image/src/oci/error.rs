//! Why an image could not be pulled.

use std::path::PathBuf;

use banger_model::ErrorCode;

use super::answer::Answer;
use super::document::LONGEST;
use super::verified::Mismatch;
use crate::budget::Exceeded;
use crate::fetch::Refused;

/// A failure of a pull.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is no name of an image.
    #[error("`{reference}` names no image")]
    Reference {
        /// What was given.
        reference: String,
        /// What is wrong with it.
        #[source]
        source: oci_spec::distribution::ParseError,
    },
    /// It is no platform.
    #[error("`{0}` is no platform")]
    Platform(String),
    /// The registry's client could not be made.
    #[error("prepare to ask the registry {registry}")]
    Client {
        /// The registry.
        registry: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The registry does not answer, or refuses.
    #[error("{what} from the registry {registry}")]
    Registry {
        /// What was asked for.
        what: String,
        /// Whom.
        registry: String,
        /// Its answer.
        #[source]
        source: Box<Answer>,
    },
    /// Every endpoint failed; the source is the last one's answer.
    #[error("the registry's mirrors failed too: {}", mirrors.join("; "))]
    Mirrors {
        /// What the mirrors said.
        mirrors: Vec<String>,
        /// What the registry itself said.
        #[source]
        source: Box<Error>,
    },
    /// Credentials are configured, and cannot be had.
    #[error(transparent)]
    Credentials(banger_logins::Error),
    /// A document of the image is not what its type says.
    #[error("understand the image's {what}")]
    Document {
        /// `manifest`, `index` or `configuration`.
        what: &'static str,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A document would become more than it may.
    #[error("read the image's documents")]
    Exceeded(#[from] Exceeded),
    /// A document is of a kind that no image has.
    #[error("the image's manifest is of the kind `{0}`, which is not supported")]
    Kind(String),
    /// A document or layer is not the one that was named.
    #[error("read {what}")]
    Mismatch {
        /// What it is.
        what: String,
        /// In what it differs.
        #[source]
        source: Mismatch,
    },
    /// The configuration did not come.
    #[error("get the configuration of {image}")]
    Configuration {
        /// The image.
        image: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A document is longer than any that is read.
    #[error(
        "the image's {document} has {bytes} bytes; documents of more than {} are not read",
        LONGEST
    )]
    TooLong {
        /// Its digest.
        document: String,
        /// Its length, as it was announced.
        bytes: u64,
    },
    /// Nobody wants the image any more.
    #[error("the pull was cancelled")]
    CalledOff,
    /// A digest of another kind than SHA-256.
    #[error("the digest `{0}` is of a kind that is not supported")]
    Digest(String),
    /// The index has nothing for the platform.
    #[error("the image has no variant for {wanted}; it has {}", there.join(", "))]
    NoPlatform {
        /// The platform.
        wanted: String,
        /// What there is.
        there: Vec<String>,
    },
    /// The configuration speaks of other layers than the manifest.
    #[error("the image's manifest has {layers} layers, and its configuration {diff_ids}")]
    Layers {
        /// In the manifest.
        layers: usize,
        /// In the configuration.
        diff_ids: usize,
    },
    /// The layout or archive has no image of that name.
    #[error("{} has no image{}", path.display(), tag.as_ref().map(|tag| format!(" `{tag}`")).unwrap_or_default())]
    NoImage {
        /// The layout or archive.
        path: PathBuf,
        /// The name.
        tag: Option<String>,
        /// The names there are.
        present: Vec<String>,
    },
    /// The archive lacks a file that it speaks of.
    #[error("{} lacks {member}", path.display())]
    NoMember {
        /// The layout or archive.
        path: PathBuf,
        /// What is missing.
        member: String,
    },
    /// A layer could not be unpacked.
    #[error("unpack layer {number} of {of} ({digest})")]
    Layer {
        /// Which, from 1.
        number: usize,
        /// Of how many.
        of: usize,
        /// Its digest.
        digest: String,
        /// Why.
        #[source]
        source: Box<crate::Error>,
    },
    /// An archive unpacks to more than it may.
    #[error("the image unpacks to more than {0} bytes")]
    TooLarge(u64),
    /// A whiteout without a name.
    #[error("the layer has the whiteout `{0}`, which names nothing")]
    Whiteout(String),
}

impl Error {
    /// The kind of failure.
    pub(crate) fn kind(&self) -> ErrorCode {
        match self {
            Self::Reference { .. } | Self::Platform(_) => ErrorCode::InvalidRequest,
            Self::Registry { source, .. } if source.is_missing() => ErrorCode::NotFound,
            Self::Registry { source, .. } if matches!(**source, Answer::TooLong { .. }) => {
                ErrorCode::BadInput
            }
            Self::NoImage { .. } => ErrorCode::NotFound,
            Self::Client { .. }
            | Self::Registry { .. }
            | Self::Credentials(_)
            | Self::Configuration { .. } => ErrorCode::Host,
            Self::Mirrors { source, .. } => source.kind(),
            Self::CalledOff => ErrorCode::Cancelled,
            Self::NoPlatform { .. } | Self::Kind(_) | Self::Digest(_) => ErrorCode::Unsupported,
            Self::Layer { source, .. } => source.kind(),
            Self::Document { .. }
            | Self::Exceeded(_)
            | Self::Mismatch { .. }
            | Self::TooLong { .. }
            | Self::Layers { .. }
            | Self::NoMember { .. }
            | Self::TooLarge(_)
            | Self::Whiteout(_) => ErrorCode::BadInput,
        }
    }

    /// What to do next.
    pub(crate) fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::Reference { .. } => {
                "name it as `alpine`, `registry.example/owner/image:tag`, `oci:DIR`, `docker-archive:FILE` or `-`".to_owned()
            }
            Self::Platform(_) => "platforms are OS/ARCHITECTURE[/VARIANT], such as linux/amd64".to_owned(),
            Self::Registry { source, .. } if source.is_missing() => {
                "is its name right, and its tag? Private images answer so too: `docker login` or `podman login` first"
                    .to_owned()
            }
            Self::Registry { source, .. } if source.is_led_away() => Refused::HINT.to_owned(),
            Self::Registry { source, registry, .. } => match &**source {
                Answer::Unauthorized { .. } => {
                    format!("log in first: `docker login {registry}` or `podman login {registry}`")
                }
                Answer::Unanswered { .. } => {
                    "is the network up? A registry without TLS takes `--insecure`, one with its own CA `--ca-cert FILE`"
                        .to_owned()
                }
                _ => return Vec::new(),
            },
            Self::Mirrors { source, .. } => return source.hints(),
            Self::NoPlatform { there, .. } => match there.first() {
                Some(there) => format!("take another with `--platform {there}`"),
                None => return Vec::new(),
            },
            Self::NoImage { present, .. } if !present.is_empty() => {
                format!("there are: {}", present.join(", "))
            }
            Self::TooLarge(_) => "raise `max_size` below `[pull]` in the configuration if it is meant".to_owned(),
            Self::Layer { source, .. } => return source.hints(),
            _ => return Vec::new(),
        };
        vec![hint]
    }
}
