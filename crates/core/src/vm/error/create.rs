//! Why a VM could not be created.

use banger_api::stream::secret::{InvalidSecretName, MAX, SecretName};
use banger_model::{Describe, Description, ErrorCode, VmName};

use crate::trust;

/// A VM cannot be made as it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// What goes into a guest takes one that runs.
    #[error("secrets and a workspace can only be given to a VM that is started")]
    NeedsStart,
    /// No secret has this name.
    #[error(transparent)]
    SecretName(#[from] InvalidSecretName),
    /// Its value is not written as it says.
    #[error("the value of secret {0} is not hexadecimal")]
    SecretValue(SecretName),
    /// More than a secret holds.
    #[error("secret {0} is larger than {max} KiB", max = MAX >> 10)]
    SecretSize(SecretName),
    /// The name is taken.
    #[error("VM `{0}` already exists")]
    Exists(VmName),
    /// All generated names that were tried are taken.
    #[error("failed to find a free name for the VM")]
    NoFreeName,
    /// What a repository asks for is not applied.
    #[error(transparent)]
    Repository(Box<trust::Error>),
    /// Nothing says which image or kernel to boot.
    #[error("no {kind} was specified, and there is no default {kind}")]
    NoDefault {
        /// `image` or `kernel`.
        kind: &'static str,
        /// The names there are.
        present: Vec<String>,
    },
}

/// What to do where nothing says what to boot.
fn no_default(kind: &str, present: &[String]) -> String {
    match (kind, present) {
        (_, []) => "get a kernel and an image: `banger setup`".to_owned(),
        (kind, present) => format!(
            "available: {}; specify one with `--{kind}`, or set a default with `banger {kind} default {}`",
            present.join(", "),
            present[0]
        ),
    }
}

impl Describe for CreateError {
    fn describe(&self) -> Description {
        match self {
            Self::Exists(name) => Description::hinted(
                ErrorCode::AlreadyExists,
                format!(
                    "choose another name, or remove the existing VM: `banger vm stop {name} && banger vm delete {name}`"
                ),
            ),
            Self::NeedsStart
            | Self::SecretName(_)
            | Self::SecretValue(_)
            | Self::SecretSize(_)
            | Self::NoFreeName => ErrorCode::InvalidRequest.into(),
            Self::Repository(source) => source.describe(),
            Self::NoDefault { kind, present } => {
                Description::hinted(ErrorCode::InvalidRequest, no_default(kind, present))
            }
        }
    }
}
