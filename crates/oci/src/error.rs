//! Why an image could not be found or read.

use std::path::PathBuf;

use banger_bounded::{Exceeded, exceeded};
use banger_fetch::{NoAuthorities, Refused};
use banger_model::{Describe, Description, ErrorCode};

use crate::answer::Answer;
use crate::mismatch::Mismatch;

/// A failure with a reference, a registry, a layout or a document.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is no name of an image.
    #[error("invalid image reference `{reference}`")]
    Reference {
        /// What was given.
        reference: String,
        /// What is wrong with it.
        #[source]
        source: oci_spec::distribution::ParseError,
    },
    /// It is no platform.
    #[error("invalid platform `{0}`")]
    Platform(String),
    /// The registry's client could not be made.
    #[error("failed to prepare requests to the registry {registry}")]
    Client {
        /// The registry.
        registry: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The registry does not answer, or refuses.
    #[error("failed to {what} from the registry {registry}")]
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
    #[error("failed to parse the image's {what}")]
    Document {
        /// `manifest`, `index` or `configuration`.
        what: &'static str,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A document would become more than it may.
    #[error("failed to read the image's documents")]
    Oversized(#[source] Exceeded),
    /// A file of this host.
    #[error(transparent)]
    File(banger_store::Error),
    /// What came has more than it may.
    #[error("{0}")]
    Exceeded(#[from] Exceeded),
    /// A document is of a kind that no image has.
    #[error("the image's manifest has the unsupported type `{0}`")]
    Kind(String),
    /// A document or layer is not the one that was named.
    #[error("failed to verify {what}")]
    Mismatch {
        /// What it is.
        what: String,
        /// In what it differs.
        #[source]
        source: Mismatch,
    },
    /// The configuration did not come.
    #[error("failed to get the configuration of {image}")]
    Configuration {
        /// The image.
        image: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A document is longer than any that is read.
    #[error("the image's {document} has {bytes} bytes, more than the limit of {most}")]
    TooLong {
        /// Its digest.
        document: String,
        /// Its length, as it was announced.
        bytes: u64,
        /// The bound.
        most: u64,
    },
    /// Nobody wants the image any more.
    #[error("the pull was cancelled")]
    CalledOff,
    /// A digest of another kind than SHA-256.
    #[error("unsupported digest `{0}`")]
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
    #[error("the image's manifest has {layers} layers, but its configuration has {diff_ids}")]
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
}

/// The same of what a registry answered.
fn of_answer(answer: &Answer, registry: &str) -> Description {
    if answer.is_missing() {
        let hint = "check the name and the tag; a private image needs `docker login` or `podman login` first";
        return Description::hinted(ErrorCode::NotFound, hint);
    }
    if answer.is_led_away() {
        return Description::hinted(ErrorCode::Host, Refused::HINT);
    }
    if NoAuthorities::is_in(answer) {
        return Description::hinted(ErrorCode::Host, NoAuthorities::HINT);
    }
    match answer {
        Answer::TooLong { .. } => ErrorCode::BadInput.into(),
        Answer::Unauthorized { .. } => Description::hinted(
            ErrorCode::Host,
            format!("log in first: `docker login {registry}` or `podman login {registry}`"),
        ),
        Answer::Unanswered { .. } => Description::hinted(
            ErrorCode::Host,
            "check the network connection; a registry without TLS needs `--insecure`, one with its own CA `--ca-cert FILE`",
        ),
        _ => ErrorCode::Host.into(),
    }
}

impl Describe for Error {
    fn describe(&self) -> Description {
        match self {
            Self::File(error) => error.describe(),
            Self::Exceeded(exceeded) => exceeded.describe(),
            Self::Mirrors { source, .. } => source.describe(),
            Self::Registry { source, registry, .. } => of_answer(source, registry),
            Self::Reference { .. } => Description::hinted(
                ErrorCode::InvalidRequest,
                "use `alpine`, `registry.example/owner/image:tag`, `oci:DIR`, `docker-archive:FILE` or `-`",
            ),
            Self::Platform(_) => Description::hinted(
                ErrorCode::InvalidRequest,
                "platforms are OS/ARCHITECTURE[/VARIANT], such as linux/amd64",
            ),
            Self::NoPlatform { there, .. } => Description::from(ErrorCode::Unsupported).with_hints(
                there
                    .first()
                    .map(|there| format!("choose another platform with `--platform {there}`")),
            ),
            Self::Kind(_) | Self::Digest(_) => ErrorCode::Unsupported.into(),
            Self::NoImage { present, .. } => {
                let names = (!present.is_empty()).then(|| format!("available: {}", present.join(", ")));
                Description::from(ErrorCode::NotFound).with_hints(names)
            }
            Self::Client { .. } | Self::Credentials(_) | Self::Configuration { .. } => ErrorCode::Host.into(),
            Self::CalledOff => ErrorCode::Cancelled.into(),
            Self::Document { .. }
            | Self::Oversized(_)
            | Self::Mismatch { .. }
            | Self::TooLong { .. }
            | Self::Layers { .. }
            | Self::NoMember { .. } => ErrorCode::BadInput.into(),
        }
    }
}

impl From<banger_store::Error> for Error {
    /// A reader that was cut short for its budget says so by the error of its file.
    fn from(error: banger_store::Error) -> Self {
        match error.of_file().and_then(exceeded) {
            Some(exceeded) => exceeded.into(),
            None => Self::File(error),
        }
    }
}
