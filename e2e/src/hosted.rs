//! An image on a web server that is no registry, and may misbehave.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::registry::OciImage;
use crate::server::{Server, Trick};

/// An image as files that any web server gives out as `x`.
#[derive(Debug)]
pub struct Hosted {
    dir: tempfile::TempDir,
    /// The layer's digest.
    pub layer: String,
    /// The configuration's digest.
    pub config: String,
}

impl Hosted {
    /// An image with one layer.
    ///
    /// # Errors
    /// When its layout is not as expected.
    pub fn new(image: &OciImage) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let place = dir.path().join("v2/x");
        std::fs::create_dir_all(place.join("blobs"))?;
        std::fs::create_dir_all(place.join("manifests"))?;
        let blobs = image.layout().join("blobs/sha256");
        let json =
            |path: &Path| -> Result<serde_json::Value> { Ok(serde_json::from_slice(&std::fs::read(path)?)?) };
        for entry in std::fs::read_dir(&blobs)?.flatten() {
            let digest = format!("sha256:{}", entry.file_name().to_string_lossy());
            std::fs::copy(entry.path(), place.join("blobs").join(&digest))?;
        }
        let digest = |of: &serde_json::Value| of["digest"].as_str().context("a digest").map(str::to_owned);
        let index = json(&image.layout().join("index.json"))?;
        let path = place.join("blobs").join(digest(&index["manifests"][0])?);
        std::fs::copy(&path, place.join("manifests/latest"))?;
        let manifest = json(&path)?;
        Ok(Self {
            dir,
            layer: digest(&manifest["layers"][0])?,
            config: digest(&manifest["config"])?,
        })
    }

    /// A part of it.
    pub fn place(&self, name: &str) -> PathBuf {
        self.dir.path().join("v2/x").join(name)
    }

    /// Serves it, with a trick for paths that end with `victims`.
    ///
    /// # Errors
    /// When there is no port.
    pub fn serve(&self, trick: Trick, victims: &str) -> Result<Server> {
        Server::misbehaving(self.dir.path(), trick, victims)
    }
}
