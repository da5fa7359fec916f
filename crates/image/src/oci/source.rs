//! Where an image's documents and layers come from.

use std::io::Read;

use tokio_util::sync::CancellationToken;

use super::Error;
use super::document::{LayerRef, Resolved};
use super::platform::Platform;

/// A registry, a layout or an archive.
pub(super) trait Source: Sync {
    /// Finds the image for a platform.
    fn resolve(&mut self, platform: &Platform) -> Result<Resolved, Error>;

    /// A layer's bytes as they are packed, not verified. What waits for others stops to when `called_off` is cancelled.
    fn open(
        &self,
        layer: &LayerRef,
        called_off: &CancellationToken,
    ) -> Result<Box<dyn Read + Send + '_>, Error>;
}
