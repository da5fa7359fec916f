//! Where an image's documents and layers come from.

use std::io::Read;

use super::Error;
use super::document::{LayerRef, Platform, Resolved};

/// A registry, a layout or an archive.
pub(super) trait Source: Sync {
    /// Finds the image for a platform.
    fn resolve(&mut self, platform: &Platform) -> Result<Resolved, Error>;

    /// A layer's bytes as they are packed, not verified.
    fn open(&self, layer: &LayerRef) -> Result<Box<dyn Read + Send + '_>, Error>;
}
