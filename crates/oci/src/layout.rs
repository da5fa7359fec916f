//! Images on disk: the OCI image layout (the specification's `image-layout.md`), as a directory or in a tar.

use std::cell::Cell;
use std::io::Read;

use oci_spec::image::{Descriptor, ImageIndex};
use tokio_util::sync::CancellationToken;

use crate::document::{self, LayerRef, Resolved};
use crate::error::Error;
use crate::members::{Members, document, layer};
use crate::platform::Platform;
use crate::source::Source;
use crate::verified;

/// The annotation by which an index names an image.
const NAME: &str = "org.opencontainers.image.ref.name";

/// An image of a layout.
pub(crate) struct Layout<M> {
    members: M,
    tag: Option<String>,
}

impl<M: Members> Layout<M> {
    pub(crate) fn new(members: M, tag: Option<String>) -> Self {
        Self { members, tag }
    }

    fn blob(descriptor: &Descriptor) -> Result<String, Error> {
        Ok(format!("blobs/sha256/{}", verified::sha256(descriptor.digest())?))
    }

    fn fetch(&self, descriptor: &Descriptor) -> Result<Vec<u8>, Error> {
        let bytes = document(&self.members, &Self::blob(descriptor)?)?;
        verified::check(&bytes, descriptor)?;
        Ok(bytes)
    }

    /// The index without what has another name.
    fn named(&self, mut index: ImageIndex) -> Result<ImageIndex, Error> {
        let Some(tag) = &self.tag else { return Ok(index) };
        let name = |descriptor: &Descriptor| {
            let annotations = descriptor.annotations().as_ref()?;
            annotations.get(NAME).cloned()
        };
        let (named, rest): (Vec<_>, Vec<_>) = index
            .manifests()
            .iter()
            .cloned()
            .partition(|descriptor| name(descriptor).as_ref() == Some(tag));
        if named.is_empty() {
            return Err(Error::NoImage {
                path: self.members.path().to_owned(),
                tag: Some(tag.clone()),
                present: rest.iter().filter_map(name).collect(),
            });
        }
        index.set_manifests(named);
        Ok(index)
    }
}

impl<M: Members> Source for Layout<M> {
    fn resolve(&mut self, platform: &Platform) -> Result<Resolved, Error> {
        let index: ImageIndex = document::parse("index", &document(&self.members, "index.json")?)?;
        let named = self.named(index)?;
        // What the name leads to is one of the index's manifests; the layout's own index has no name and no digest.
        let leads_to = Cell::new(None);
        let index = serde_json::to_vec(&named).expect("an index has only string keys");
        let mut resolved = document::resolve(index, None, platform, &|descriptor| {
            if named.manifests().contains(descriptor) {
                leads_to.set(Some(descriptor.digest().to_string()));
            }
            self.fetch(descriptor)
        })?;
        resolved.digest = leads_to.take();
        Ok(resolved)
    }

    fn open(&self, layer_ref: &LayerRef, _: &CancellationToken) -> Result<Box<dyn Read + Send + '_>, Error> {
        // Of digests only SHA-256 gets here.
        let path = layer_ref.place.replacen(':', "/", 1);
        layer(&self.members, &format!("blobs/{path}"))
    }
}
