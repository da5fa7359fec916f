//! Documents of registries, understood and refused.

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
