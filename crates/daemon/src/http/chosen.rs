//! Which image and which kernel are taken when none is named.

use banger_model::{ImageName, KernelName};

use crate::vm::Context;

/// That of the configuration as it is now, or the only one that there is.
#[derive(Debug)]
pub(super) struct Chosen<N> {
    configured: Option<N>,
    only: bool,
}

impl Chosen<ImageName> {
    /// The image; `only` says that there is only one.
    pub(super) fn image(context: &Context, only: bool) -> Self {
        // A listing does not fail for what is wrong in the configuration; `doctor` and what makes VMs tell it.
        let config = context.config().ok();
        let configured = config.and_then(|config| config.default_image);
        Self { configured, only }
    }
}

impl Chosen<KernelName> {
    /// The kernel; `only` says that there is only one.
    pub(super) fn kernel(context: &Context, only: bool) -> Self {
        let config = context.config().ok();
        let configured = config.and_then(|config| config.default_kernel);
        Self { configured, only }
    }
}

impl<N: PartialEq> Chosen<N> {
    /// Whether it is this one.
    pub(super) fn is(&self, name: &N) -> bool {
        self.configured
            .as_ref()
            .map_or(self.only, |configured| configured == name)
    }
}
