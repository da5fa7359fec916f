//! From a name to an image's layers: indexes, manifests and configurations.
//!
//! Sources: the OCI image specification (`image-index.md`, `manifest.md`, `config.md`), and Docker's "Image Manifest
//! Version 2, Schema 2", whose documents have the same fields.

use banger_store::Digest;
use oci_spec::image::{self, Descriptor, ImageConfiguration, ImageIndex, ImageManifest};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::error::Error;
use crate::platform::Platform;
use crate::verified;

/// How deep indexes may be in indexes, a manifest included.
const DEEPEST: u32 = 5;

/// How many manifests of an index are asked whether they are for the platform, when none says it in the index.
const MOST_UNSAID: usize = 16;

/// A layer of an image, still packed.
#[derive(Debug, Clone)]
pub struct LayerRef {
    /// Where its source has it: a digest, or a path in an archive.
    pub(crate) place: String,
    /// SHA-256 of it as it is packed, where that is known.
    pub sha256: Option<Digest>,
    /// SHA-256 of the tar in it.
    pub diff_sha256: Digest,
    /// Bytes as it is packed.
    pub size: u64,
    /// Where else it may be had (foreign layers).
    pub(crate) urls: Option<Vec<String>>,
}

/// An image's documents.
#[derive(Debug, Clone)]
pub(crate) struct Resolved {
    /// Digest of what the source's name leads to: the index, where there is one.
    pub(crate) digest: Option<String>,
    /// The manifest as it came.
    pub(crate) manifest: Vec<u8>,
    /// The configuration as it came.
    pub(crate) configuration: Vec<u8>,
    /// What the configuration says.
    pub(crate) config: ImageConfiguration,
    /// The layers, the lowest first.
    pub(crate) layers: Vec<LayerRef>,
}

/// Reads documents by their descriptors, and verifies them.
pub(crate) type Fetch<'a> = &'a dyn Fn(&Descriptor) -> Result<Vec<u8>, Error>;

/// Resolves an index or manifest to the image for `platform`.
pub(crate) fn resolve(
    document: Vec<u8>,
    digest: Option<String>,
    platform: &Platform,
    fetch: Fetch<'_>,
) -> Result<Resolved, Error> {
    let search = Search {
        digest,
        platform,
        fetch,
    };
    search.image(document, DEEPEST)
}

/// A search for the image of a platform.
struct Search<'a> {
    digest: Option<String>,
    platform: &'a Platform,
    fetch: Fetch<'a>,
}

impl Search<'_> {
    fn image(&self, document: Vec<u8>, depth: u32) -> Result<Resolved, Error> {
        if depth == 0 {
            return Err(Error::Kind("index of indexes of indexes".to_owned()));
        }
        match kind(&document)? {
            Kind::Manifest => of_manifest(document, self.digest.clone(), self.fetch),
            Kind::Index => self.of_index(&parse("index", &document)?, depth),
        }
    }

    /// The image of the index's best manifest for the platform. What has no platform is asked for its configuration's,
    /// in the index's order: it may be another one's, or no image at all but what a builder attests of one.
    fn of_index(&self, index: &ImageIndex, depth: u32) -> Result<Resolved, Error> {
        let manifests = index.manifests();
        if let Some(best) = self.platform.fitting(manifests).first() {
            return self.image((self.fetch)(best)?, depth - 1);
        }
        let unsaid = manifests
            .iter()
            .filter(|manifest| manifest.platform().is_none() && !is_about_another(manifest));
        let mut there = platforms(manifests);
        let mut no_image = None;
        for descriptor in unsaid.take(MOST_UNSAID) {
            let document = (self.fetch)(descriptor)?;
            match self.image(document, depth - 1) {
                Ok(found) => match of_configuration(&found.config) {
                    Some(platform) if !self.platform.takes(&platform) => there.push(platform.to_string()),
                    _ => return Ok(found),
                },
                Err(Error::NoPlatform { there: deeper, .. }) => there.extend(deeper),
                // No image at all, such as what a builder attests without saying so.
                Err(
                    error @ (Error::Kind(_)
                    | Error::Layers { .. }
                    | Error::Digest(_)
                    | Error::Document { .. }),
                ) => no_image = no_image.or(Some(error)),
                Err(error) => return Err(error),
            }
        }
        match no_image {
            Some(error) if there.is_empty() => Err(error),
            _ => Err(Error::NoPlatform {
                wanted: self.platform.to_string(),
                there,
            }),
        }
    }
}

/// Whether a descriptor says that it is about another manifest of the index: what a builder attests of it
/// (BuildKit's "Image attestation storage"), a signature, a list of parts.
fn is_about_another(descriptor: &Descriptor) -> bool {
    let annotations = descriptor.annotations().as_ref();
    annotations.is_some_and(|annotations| annotations.contains_key("vnd.docker.reference.type"))
        || descriptor.artifact_type().is_some()
}

/// The platforms that an index has, as its users see them.
fn platforms(manifests: &[Descriptor]) -> Vec<String> {
    let platforms = manifests
        .iter()
        .filter(|manifest| !is_about_another(manifest))
        .filter_map(Platform::of);
    let mut there: Vec<String> = platforms.map(|platform| platform.to_string()).collect();
    // Attestations of builders are manifests too.
    there.retain(|platform| platform != "unknown/unknown");
    there.dedup();
    there
}

/// The platform that a configuration states; tools that pack anything write none.
fn of_configuration(config: &ImageConfiguration) -> Option<Platform> {
    let (os, arch) = (config.os().clone(), config.architecture().clone());
    let said = !os.to_string().is_empty() && !arch.to_string().is_empty();
    said.then(|| Platform::new(os, arch, config.variant().clone()))
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
pub(crate) fn diff_sha256(diff_id: &str) -> Result<Digest, Error> {
    let digest: image::Digest = diff_id.parse().map_err(|_| Error::Digest(diff_id.to_owned()))?;
    verified::sha256(&digest)
}

pub(crate) fn parse<T: DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<T, Error> {
    banger_bounded::document(what, bytes).map_err(Error::Oversized)?;
    serde_json::from_slice(bytes).map_err(|source| Error::Document { what, source })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use sha2::{Digest as _, Sha256};

    use super::*;

    /// A registry of documents, by digest.
    #[derive(Default)]
    struct Documents(BTreeMap<String, Vec<u8>>);

    impl Documents {
        /// Adds a document; what describes it, with `more` fields.
        fn add(&mut self, text: String, media_type: &str, more: &str) -> String {
            let digest = format!("sha256:{}", Digest::of(Sha256::new_with_prefix(&text)));
            let size = text.len();
            self.0.insert(digest.clone(), text.into_bytes());
            format!(r#"{{"mediaType": "{media_type}", "digest": "{digest}", "size": {size}{more}}}"#)
        }

        /// An image whose configuration has this platform, and whose only label is `name`.
        fn image(&mut self, name: &str, os: &str, arch: &str, more: &str) -> String {
            let config = format!(
                r#"{{"os": "{os}", "architecture": "{arch}", "config": {{"Labels": {{"name": "{name}"}}}},
                    "rootfs": {{"type": "layers", "diff_ids": []}}}}"#
            );
            let config = self.add(config, "application/vnd.oci.image.config.v1+json", "");
            let manifest = format!(r#"{{"schemaVersion": 2, "config": {config}, "layers": []}}"#);
            self.add(manifest, "application/vnd.oci.image.manifest.v1+json", more)
        }

        /// What BuildKit attests of an image, without any word that it does.
        fn attestation(&mut self, more: &str) -> String {
            let config = r#"{"os": "unknown", "architecture": "unknown", "rootfs": {"type": "layers", "diff_ids": ["sha256:0"]}}"#;
            let config = self.add(config.to_owned(), "application/vnd.oci.image.config.v1+json", "");
            let layer = self.add("{}".to_owned(), "application/vnd.in-toto+json", "");
            let manifest = format!(r#"{{"schemaVersion": 2, "config": {config}, "layers": [{layer}]}}"#);
            self.add(manifest, "application/vnd.oci.image.manifest.v1+json", more)
        }

        fn found(&self, index: &[String], platform: &str) -> Result<String, Error> {
            let index = format!(r#"{{"schemaVersion": 2, "manifests": [{}]}}"#, index.join(","));
            let resolved = resolve(
                index.into_bytes(),
                None,
                &platform.parse().unwrap(),
                &|descriptor| Ok(self.0[&descriptor.digest().to_string()].clone()),
            )?;
            let labels = resolved
                .config
                .config()
                .as_ref()
                .unwrap()
                .labels()
                .clone()
                .unwrap();
            Ok(labels["name"].clone())
        }
    }

    fn on(os: &str, arch: &str, variant: &str) -> String {
        format!(r#", "platform": {{"os": "{os}", "architecture": "{arch}", "variant": "{variant}"}}"#)
    }

    #[test]
    fn the_platform_decides() {
        let mut documents = Documents::default();
        let index = [
            documents.image("v3", "linux", "amd64", &on("linux", "amd64", "v3")),
            documents.image("v7", "linux", "arm", &on("linux", "arm", "v7")),
            documents.image("v6", "linux", "arm", &on("linux", "arm", "v6")),
            documents.image("plain", "linux", "amd64", &on("linux", "amd64", "")),
            documents.attestation(&on("unknown", "unknown", "")),
        ];
        for (platform, name) in [
            ("linux/amd64", "plain"),
            ("linux/amd64/v3", "v3"),
            ("linux/arm", "v7"),
            ("linux/arm/v6", "v6"),
        ] {
            assert_eq!(documents.found(&index, platform).unwrap(), name, "{platform}");
        }
        assert_eq!(
            documents.found(&index, "linux/riscv64").unwrap_err().to_string(),
            "the image has no variant for linux/riscv64; it has linux/amd64/v3, linux/arm/v7, linux/arm/v6, linux/amd64"
        );
    }

    #[test]
    fn what_says_no_platform_is_looked_at_and_attestations_are_passed_over() {
        let mut documents = Documents::default();
        let told = r#", "annotations": {"vnd.docker.reference.type": "attestation-manifest"}"#;
        let one = |documents: &mut Documents| documents.image("one", "linux", "amd64", "");
        for first in [documents.attestation(""), documents.attestation(told)] {
            let index = [first, one(&mut documents)];
            assert_eq!(documents.found(&index, "linux/amd64").unwrap(), "one");
        }
        let other = documents.image("other", "linux", "s390x", "");
        let nothing_said = documents.image("any", "", "", "");
        let index = [other.clone(), nothing_said];
        assert_eq!(documents.found(&index, "linux/amd64").unwrap(), "any");
        let refusal = documents.found(&[other], "linux/amd64").unwrap_err().to_string();
        assert!(refusal.ends_with("it has linux/s390x"), "{refusal}");
        let alone = [documents.attestation("")];
        assert!(documents.found(&alone, "linux/amd64").is_err());
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
        assert!(refusal("[]").contains("failed to parse the image's manifest"));
        assert!(refusal(r#"{"schemaVersion": 2, "mediaType": "a/b"}"#).contains("`a/b`"));
    }
}
