//! Which image and which kernel are taken when none is named.

use banger_core::Context;
use banger_model::{Describe, Description, ErrorCode, ImageName, KernelName};

/// That of the configuration as it is now, or that of the store.
#[derive(Debug)]
pub(super) struct Chosen<N>(Option<N>);

impl<N> Default for Chosen<N> {
    fn default() -> Self {
        Self(None)
    }
}

impl Chosen<ImageName> {
    pub(super) fn image(context: &Context) -> Result<Self, banger_image::Error> {
        // A listing does not fail for what is wrong in the configuration; `doctor` and what makes VMs report it.
        let configured = context.config().ok().and_then(|config| config.default_image);
        configured
            .map_or_else(|| context.images.default(), |name| Ok(Some(name)))
            .map(Self)
    }
}

impl Chosen<KernelName> {
    pub(super) fn kernel(context: &Context) -> Result<Self, banger_kernel::Error> {
        let configured = context.config().ok().and_then(|config| config.default_kernel);
        configured
            .map_or_else(|| context.kernels.default(), |name| Ok(Some(name)))
            .map(Self)
    }
}

impl<N: PartialEq> Chosen<N> {
    /// Whether it is this one.
    pub(super) fn is(&self, name: &N) -> bool {
        self.0.as_ref() == Some(name)
    }
}

/// Why a default cannot be set.
#[derive(Debug, thiserror::Error)]
pub(super) enum CannotChoose {
    /// The store of images refused.
    #[error(transparent)]
    Images(#[from] banger_image::Error),
    /// The store of kernels refused.
    #[error(transparent)]
    Kernels(#[from] banger_kernel::Error),
    /// The user's configuration goes first.
    #[error("{key} is set to {configured} in config.toml, which takes precedence over this command")]
    Configured {
        /// `default_image` or `default_kernel`.
        key: &'static str,
        /// What it says.
        configured: String,
    },
}

impl Describe for CannotChoose {
    fn describe(&self) -> Description {
        match self {
            Self::Images(source) => source.describe(),
            Self::Kernels(source) => source.describe(),
            Self::Configured { key, .. } => Description::hinted(
                ErrorCode::InvalidRequest,
                format!("change or remove {key} in config.toml"),
            ),
        }
    }
}

/// Refuses to set what the configuration has set to something else.
pub(super) fn refuse_configured<N: PartialEq + ToString>(
    key: &'static str,
    configured: Option<&N>,
    wanted: &N,
) -> Result<(), CannotChoose> {
    match configured {
        Some(name) if name != wanted => Err(CannotChoose::Configured {
            key,
            configured: name.to_string(),
        }),
        _ => Ok(()),
    }
}
