//! Images that were made to exhaust whoever takes them, and the forms in which they come: an archive to import, an OCI layout, a
//! docker archive, and a registry's files.

pub mod disks;
pub mod kernels;
mod tars;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use self::tars::{
    END, attribute_of, attributes, circle, declared, entry, file, gzip, head, implied, many, named, pax,
    sparse, whiteouts, xz_head, zstd_head,
};
use crate::server::{Server, Trick};

/// What images may have where these are taken: little, so that it is reached soon.
pub const LIMITS: &str = "[pull]\nmax_size = \"2MiB\"\nmax_entries = 20000\nmax_ratio = 20\n";

/// A bomb in every form.
#[derive(Debug)]
pub struct Forms {
    /// The arguments of `banger` that take it, but for the name that it gets.
    pub commands: Vec<Vec<String>>,
    /// The form's names.
    pub names: Vec<&'static str>,
    /// The registry, for as long as this lives.
    pub server: Server,
}

/// A layer, or the document that is the bomb.
#[derive(Debug)]
pub struct Bomb {
    /// Its name.
    pub name: &'static str,
    /// The layer as it is sent.
    layer: Vec<u8>,
    /// The manifest instead of an honest one.
    manifest: Option<Vec<u8>>,
    /// The configuration instead of an honest one.
    config: Option<Vec<u8>>,
}

impl Bomb {
    fn layer(name: &'static str, layer: Vec<u8>) -> Self {
        Self {
            name,
            layer,
            manifest: None,
            config: None,
        }
    }

    fn manifest(name: &'static str, manifest: String) -> Self {
        Self {
            manifest: Some(manifest.into_bytes()),
            ..Self::layer(name, gzip(&harmless()))
        }
    }

    fn config(name: &'static str, config: String) -> Self {
        Self {
            config: Some(config.into_bytes()),
            ..Self::layer(name, gzip(&harmless()))
        }
    }

    /// Writes it in every form into a directory.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn forms(&self, dir: &Path) -> Result<Forms> {
        let at = |name: &str| dir.join(name).display().to_string();
        fs::write(at("layer"), &self.layer)?;
        fs::write(at("docker.tar"), self.docker_archive())?;
        self.layout(&dir.join("layout"))?;
        let server = self.serve(&dir.join("served"))?;
        let mut forms = vec![
            (
                "layout",
                ["image", "pull", &format!("oci:{}", at("layout"))].map(str::to_owned),
            ),
            (
                "docker",
                ["image", "pull", &format!("docker-archive:{}", at("docker.tar"))].map(str::to_owned),
            ),
            (
                "registry",
                ["image", "pull", &format!("{}/x", server.host())].map(str::to_owned),
            ),
        ];
        if self.manifest.is_none() && self.config.is_none() {
            forms.push(("import", ["image", "import", &at("layer")].map(str::to_owned)));
        }
        Ok(Forms {
            names: forms.iter().map(|(name, _)| *name).collect(),
            commands: forms.into_iter().map(|(_, args)| args.to_vec()).collect(),
            server,
        })
    }

    /// Writes it as an OCI layout.
    fn layout(&self, dir: &Path) -> Result<()> {
        let blobs = dir.join("blobs/sha256");
        fs::create_dir_all(&blobs)?;
        let (config, manifest) = self.documents();
        for blob in [&self.layer, &config, &manifest] {
            fs::write(blobs.join(sha256(blob)), blob)?;
        }
        fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion": "1.0.0"}"#)?;
        let index = format!(
            r#"{{"schemaVersion": 2, "manifests": [{}]}}"#,
            described(MANIFEST, &manifest)
        );
        fs::write(dir.join("index.json"), index).context("write a layout")
    }

    /// Serves it as `x`.
    fn serve(&self, dir: &Path) -> Result<Server> {
        let place = dir.join("v2/x");
        fs::create_dir_all(place.join("blobs"))?;
        fs::create_dir_all(place.join("manifests"))?;
        let (config, manifest) = self.documents();
        for blob in [&self.layer, &config, &manifest] {
            fs::write(place.join(format!("blobs/sha256:{}", sha256(blob))), blob)?;
        }
        fs::write(place.join("manifests/latest"), &manifest)?;
        Server::start(dir, Trick::None)
    }

    /// It as a docker archive.
    fn docker_archive(&self) -> Vec<u8> {
        let (config, _) = self.documents();
        let manifest = self.manifest.clone().unwrap_or_else(|| {
            br#"[{"Config": "config.json", "RepoTags": ["x:latest"], "Layers": ["layer.tar"]}]"#.to_vec()
        });
        [
            entry(b'0', "manifest.json", &manifest),
            entry(b'0', "config.json", &config),
            entry(b'0', "layer.tar", &self.layer),
            END.to_vec(),
        ]
        .concat()
    }

    fn documents(&self) -> (Vec<u8>, Vec<u8>) {
        let config = self.config.clone().unwrap_or_else(|| {
            // Its digest is asked for at the end, which a bomb does not come to.
            format!(
                r#"{{"architecture": "{}", "os": "linux", "config": {{}},
                    "rootfs": {{"type": "layers", "diff_ids": ["sha256:{}"]}}}}"#,
                match std::env::consts::ARCH {
                    "aarch64" => "arm64",
                    _ => "amd64",
                },
                "0".repeat(64)
            )
            .into_bytes()
        });
        let kind = match self.layer.first() {
            Some(0x1f) => "application/vnd.oci.image.layer.v1.tar+gzip",
            Some(0x28) => "application/vnd.oci.image.layer.v1.tar+zstd",
            _ => "application/vnd.oci.image.layer.v1.tar",
        };
        let manifest = self.manifest.clone().unwrap_or_else(|| {
            format!(
                r#"{{"schemaVersion": 2, "mediaType": "{MANIFEST}", "config": {}, "layers": [{}]}}"#,
                described("application/vnd.oci.image.config.v1+json", &config),
                described(kind, &self.layer)
            )
            .into_bytes()
        });
        (config, manifest)
    }
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Every bomb of an image.
///
/// # Errors
/// When one cannot be packed.
pub fn all() -> Result<Vec<Bomb>> {
    let zeros = file("zeros", &vec![0; 3 << 20]);
    let mut frames = zstd::encode_all(&file("zeros", &vec![0; 1 << 20])[..1024], 1)?;
    frames.extend(zstd::encode_all(&b"\0"[..], 1)?.repeat(30_000));
    let mut empty = zstd::encode_all(&b""[..], 1)?.repeat(50_000);
    empty.extend([0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0].repeat(100_000));
    Ok(vec![
        Bomb::layer("xz-dictionary-1536mib", xz_head(37)),
        Bomb::layer("xz-dictionary-4gib", xz_head(40)),
        Bomb::layer("zstd-window-2gib", zstd_head(21 << 3)),
        Bomb::layer("zstd-window-3tib", zstd_head(0xff)),
        Bomb::layer("gzip-zeros", gzip(&zeros)),
        Bomb::layer("gzip-of-gzip", gzip(&gzip(&zeros))),
        Bomb::layer("zstd-zeros", zstd::encode_all(&zeros[..], 1)?),
        Bomb::layer("zstd-tiny-frames", frames),
        Bomb::layer("zstd-empty-frames", empty),
        Bomb::layer("gzip-empty-members", gzip(b"").repeat(50_000)),
        Bomb::layer("pax-header-700mib", declared(b'x', 700 << 20)),
        Bomb::layer("pax-global-700mib", declared(b'g', 700 << 20)),
        Bomb::layer(
            "pax-headers-in-a-row",
            gzip(&pax(&[("comment", "x")]).repeat(1_000)),
        ),
        Bomb::layer("gnu-long-name-1gib", declared(b'L', 1 << 30)),
        Bomb::layer("gnu-long-link-1gib", declared(b'K', 1 << 30)),
        Bomb::layer("sparse-8eib", sparse(&(i64::MAX).to_string(), 1)),
        Bomb::layer("sparse-more-than-there-is", sparse(&u64::MAX.to_string(), 1)),
        Bomb::layer("sparse-of-many-parts", sparse("8000000000", 30_000)),
        Bomb::layer("file-of-8eib", gzip(&head(b'0', "f", None))),
        Bomb::layer("deep-path", gzip(&named(&"d/".repeat(100_000)))),
        Bomb::layer("implied-directories", gzip(&implied())),
        Bomb::layer("attributes-100000", gzip(&attributes(100_000))),
        Bomb::layer("attribute-of-8mib", gzip(&attribute_of(8 << 20))),
        Bomb::layer("many-entries", gzip(&many())),
        Bomb::layer("many-whiteouts", gzip(&whiteouts())),
        Bomb::layer("link-circle", gzip(&circle())),
        Bomb::manifest("manifest-of-1000000-layers", empty_layers(1_000_000)),
        Bomb::manifest("manifest-of-20000-layers", many_layers(20_000)),
        Bomb::manifest("manifest-deep", "[".repeat(2_000_000)),
        Bomb::manifest("manifest-of-arrays", format!("[{}[]]", "[],".repeat(250_000))),
        Bomb::config(
            "config-deep",
            format!(r#"{{"config": {}"#, r#"{"a":"#.repeat(250_000)),
        ),
        Bomb::config("config-of-arrays", format!("[{}[]]", "[],".repeat(250_000))),
        Bomb::config("config-of-5mib", format!(r#"{{"a": "{}"}}"#, "x".repeat(5 << 20))),
    ])
}

/// A tar with one small file.
pub fn harmless() -> Vec<u8> {
    file("a", b"content")
}

/// A manifest with so many layers, of which none says anything.
fn empty_layers(count: usize) -> String {
    format!(
        r#"{{"schemaVersion": 2, "layers": [{}{{}}]}}"#,
        "{},".repeat(count - 1)
    )
}

/// A manifest with so many layers, all the same.
fn many_layers(count: usize) -> String {
    let layer = format!(
        r#"{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"sha256:{}","size":1}}"#,
        "0".repeat(64)
    );
    format!(
        r#"{{"schemaVersion": 2, "mediaType": "{MANIFEST}", "config": {layer}, "layers": [{}{layer}]}}"#,
        format!("{layer},").repeat(count - 1)
    )
}

fn described(kind: &str, blob: &[u8]) -> String {
    let (digest, size) = (sha256(blob), blob.len());
    format!(r#"{{"mediaType": "{kind}", "digest": "sha256:{digest}", "size": {size}}}"#)
}

fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
