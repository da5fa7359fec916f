//! Where an image's documents and layers come from.

use std::io::Read;

use tokio_util::sync::CancellationToken;

use crate::document::{LayerRef, Resolved};
use crate::error::Error;
use crate::platform::Platform;

/// A registry, a layout or an archive.
pub(crate) trait Source: Sync {
    /// Finds the image for a platform.
    fn resolve(&mut self, platform: &Platform) -> Result<Resolved, Error>;

    /// A layer's bytes as they are packed, not verified. What waits for others stops to when `called_off` is cancelled.
    fn open(
        &self,
        layer: &LayerRef,
        called_off: &CancellationToken,
    ) -> Result<Box<dyn Read + Send + '_>, Error>;
}
