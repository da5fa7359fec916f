//! From a name to an image's layers: indexes, manifests and configurations.
//!
//! Sources: the OCI image specification (`image-index.md`, `manifest.md`, `config.md`), and Docker's "Image Manifest
//! Version 2, Schema 2", whose documents have the same fields.

use std::fmt;
use std::str::FromStr;

use oci_spec::image::{self, Arch, Descriptor, ImageConfiguration, ImageIndex, ImageManifest, Os};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Error, verified};
use crate::digest::Digest;

/// The longest document that is read: registries need not take longer ones (the distribution specification's `spec.md`,
/// "Pushing Manifests").
pub(super) const LONGEST: u64 = 4 << 20;

/// How deep indexes may be in indexes.
const DEEPEST: u32 = 4;

/// An operating system on a processor, as OCI names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Platform {
    os: Os,
    arch: Arch,
    variant: Option<String>,
}

impl Platform {
    /// The operating system's name.
    pub(crate) fn os(&self) -> String {
        self.os.to_string()
    }

    /// The processor's name.
    pub(crate) fn arch(&self) -> String {
        self.arch.to_string()
    }
}

impl Default for Platform {
    /// Linux, on the processor of this host.
    fn default() -> Self {
        Self {
            os: Os::Linux,
            arch: Arch::default(),
            variant: None,
        }
    }
}

impl FromStr for Platform {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut parts = text.split('/');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(os), Some(arch), variant, None) if !os.is_empty() && !arch.is_empty() => Ok(Self {
                os: os.into(),
                arch: arch.into(),
                variant: variant.map(str::to_owned),
            }),
            _ => Err(Error::Platform(text.to_owned())),
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.os, self.arch)?;
        match &self.variant {
            Some(variant) => write!(formatter, "/{variant}"),
            None => Ok(()),
        }
    }
}

impl Platform {
    fn of(descriptor: &Descriptor) -> Option<Self> {
        descriptor.platform().as_ref().map(|platform| Self {
            os: platform.os().clone(),
            arch: platform.architecture().clone(),
            variant: platform.variant().clone().filter(|variant| !variant.is_empty()),
        })
    }

    /// Whether an image for `other` will do; a variant counts only when one is asked for.
    fn takes(&self, other: &Self) -> bool {
        self.os == other.os
            && self.arch == other.arch
            && (self.variant.is_none() || self.variant == other.variant)
    }
}

/// A layer of an image, still packed.
#[derive(Debug, Clone)]
pub(super) struct LayerRef {
    /// Where its source has it: a digest, or a path in an archive.
    pub(super) place: String,
    /// SHA-256 of it as it is packed, where that is known.
    pub(super) sha256: Option<Digest>,
    /// SHA-256 of the tar in it.
    pub(super) diff_sha256: Digest,
    /// Bytes as it is packed.
    pub(super) size: u64,
    /// Where else it may be had (foreign layers).
    pub(super) urls: Option<Vec<String>>,
}

/// An image's documents.
#[derive(Debug, Clone)]
pub(super) struct Resolved {
    /// Digest of what the source's name leads to: the index, where there is one.
    pub(super) digest: Option<String>,
    /// The manifest as it came.
    pub(super) manifest: Vec<u8>,
    /// The configuration as it came.
    pub(super) configuration: Vec<u8>,
    /// What the configuration says.
    pub(super) config: ImageConfiguration,
    /// The layers, the lowest first.
    pub(super) layers: Vec<LayerRef>,
}

/// Reads documents by their descriptors, and verifies them.
pub(super) type Fetch<'a> = &'a dyn Fn(&Descriptor) -> Result<Vec<u8>, Error>;

/// Resolves an index or manifest to the image for `platform`.
pub(super) fn resolve(
    document: Vec<u8>,
    digest: Option<String>,
    platform: &Platform,
    fetch: Fetch<'_>,
) -> Result<Resolved, Error> {
    let mut document = document;
    for _ in 0..DEEPEST {
        match kind(&document)? {
            Kind::Manifest => return of_manifest(document, digest, fetch),
            Kind::Index => {
                let index: ImageIndex = parse("index", &document)?;
                let chosen = choose(&index, platform)?;
                document = fetch(chosen)?;
            }
        }
    }
    Err(Error::Kind("index of indexes of indexes".to_owned()))
}

enum Kind {
    Index,
    Manifest,
}

/// What tells the kinds of documents apart. Old manifests have no media type in them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Probe {
    #[serde(default)]
    schema_version: u32,
    media_type: Option<String>,
    manifests: Option<serde::de::IgnoredAny>,
    layers: Option<serde::de::IgnoredAny>,
}

fn kind(document: &[u8]) -> Result<Kind, Error> {
    let probe: Probe = parse("manifest", document)?;
    match probe {
        Probe {
            schema_version: 2,
            manifests: Some(_),
            ..
        } => Ok(Kind::Index),
        Probe {
            schema_version: 2,
            layers: Some(_),
            ..
        } => Ok(Kind::Manifest),
        Probe {
            schema_version,
            media_type,
            ..
        } => Err(Error::Kind(
            media_type.unwrap_or_else(|| format!("schema {schema_version}")),
        )),
    }
}

/// The index's first manifest for the platform. What has no platform is for all, as in layouts with one image.
fn choose<'a>(index: &'a ImageIndex, wanted: &Platform) -> Result<&'a Descriptor, Error> {
    let manifests = index.manifests();
    let fitting = manifests
        .iter()
        .find(|manifest| Platform::of(manifest).is_some_and(|platform| wanted.takes(&platform)));
    let for_all = || manifests.iter().find(|manifest| manifest.platform().is_none());
    fitting.or_else(for_all).ok_or_else(|| {
        let platforms = manifests.iter().filter_map(Platform::of);
        let mut there: Vec<String> = platforms.map(|platform| platform.to_string()).collect();
        // Attestations of builders are manifests too.
        there.retain(|platform| platform != "unknown/unknown");
        there.dedup();
        Error::NoPlatform {
            wanted: wanted.to_string(),
            there,
        }
    })
}

fn of_manifest(document: Vec<u8>, digest: Option<String>, fetch: Fetch<'_>) -> Result<Resolved, Error> {
    let manifest: ImageManifest = parse("manifest", &document)?;
    let configuration = fetch(manifest.config())?;
    let config: ImageConfiguration = parse("configuration", &configuration)?;
    let diff_ids = config.rootfs().diff_ids();
    if diff_ids.len() != manifest.layers().len() {
        return Err(Error::Layers {
            layers: manifest.layers().len(),
            diff_ids: diff_ids.len(),
        });
    }
    let layers = manifest.layers().iter().zip(diff_ids).map(|(layer, diff_id)| {
        let media_type = layer.media_type().as_ref();
        // Encrypted layers and those of artifacts are no archives.
        if !media_type.contains(".tar") || media_type.ends_with("+encrypted") {
            return Err(Error::Kind(media_type.to_owned()));
        }
        Ok(LayerRef {
            place: layer.digest().to_string(),
            sha256: Some(verified::sha256(layer.digest())?),
            diff_sha256: diff_sha256(diff_id)?,
            size: layer.size(),
            urls: layer.urls().clone(),
        })
    });
    let layers = layers.collect::<Result<_, _>>()?;
    Ok(Resolved {
        digest,
        manifest: document,
        configuration,
        config,
        layers,
    })
}

/// The SHA-256 in an entry of `diff_ids`.
pub(super) fn diff_sha256(diff_id: &str) -> Result<Digest, Error> {
    let digest: image::Digest = diff_id.parse().map_err(|_| Error::Digest(diff_id.to_owned()))?;
    verified::sha256(&digest)
}

pub(super) fn parse<T: DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(|source| Error::Document { what, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(manifests: &str) -> ImageIndex {
        parse(
            "index",
            format!(r#"{{"schemaVersion": 2, "manifests": [{manifests}]}}"#).as_bytes(),
        )
        .unwrap()
    }

    fn manifest(size: u64, platform: &str) -> String {
        let digest = "0".repeat(64);
        format!(
            r#"{{"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "sha256:{digest}",
                "size": {size}{platform}}}"#
        )
    }

    fn on(os: &str, arch: &str, variant: &str) -> String {
        format!(r#", "platform": {{"os": "{os}", "architecture": "{arch}", "variant": "{variant}"}}"#)
    }

    #[test]
    fn the_platform_decides() {
        let index = index(
            &[
                manifest(1, &on("linux", "arm", "v7")),
                manifest(2, &on("linux", "arm", "v6")),
                manifest(3, &on("linux", "amd64", "")),
                manifest(4, &on("unknown", "unknown", "")),
            ]
            .join(","),
        );
        let chosen = |platform: &str| choose(&index, &platform.parse().unwrap()).map(Descriptor::size);
        assert_eq!(chosen("linux/amd64").unwrap(), 3);
        assert_eq!(chosen("linux/arm").unwrap(), 1);
        assert_eq!(chosen("linux/arm/v6").unwrap(), 2);
        let refusal = chosen("linux/riscv64").unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "the image has no variant for linux/riscv64; it has linux/arm/v7, linux/arm/v6, linux/amd64"
        );
    }

    #[test]
    fn a_manifest_without_a_platform_is_for_all() {
        let index = index(&manifest(7, ""));
        assert_eq!(choose(&index, &Platform::default()).unwrap().size(), 7);
    }

    #[test]
    fn old_and_foreign_documents_are_refused_by_kind() {
        let refusal = |document: &str| {
            resolve(
                document.as_bytes().to_vec(),
                None,
                &Platform::default(),
                &|_| unreachable!(),
            )
            .unwrap_err()
            .to_string()
        };
        assert!(refusal(r#"{"schemaVersion": 1, "fsLayers": []}"#).contains("`schema 1`"));
        assert!(refusal("[]").contains("understand the image's manifest"));
        assert!(refusal(r#"{"schemaVersion": 2, "mediaType": "a/b"}"#).contains("`a/b`"));
    }
}
