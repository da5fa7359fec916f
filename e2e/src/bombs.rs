//! Images that were made to exhaust whoever takes them, and the forms in which they come: an archive to import, an OCI layout, a
//! docker archive, and a registry's files.

pub mod disks;
pub mod kernels;

use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use flate2::{Compression, Crc, write::GzEncoder};
use sha2::{Digest, Sha256};

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

const END: [u8; 1024] = [0; 1024];

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

fn file(name: &str, content: &[u8]) -> Vec<u8> {
    [&entry(b'0', name, content)[..], &END].concat()
}

/// A header of this kind that says more than comes.
fn declared(flag: u8, size: usize) -> Vec<u8> {
    let tar = [head(flag, "x", Some(size)), vec![b'x'; 1 << 20]].concat();
    gzip(&tar)
}

fn named(path: &str) -> Vec<u8> {
    [&pax(&[("path", path)])[..], &entry(b'0', "x", b""), &END].concat()
}

/// Three hundred entries below a million directories that have none.
fn implied() -> Vec<u8> {
    let mut tar = Vec::new();
    for number in 0..300 {
        let path = format!("{number}/{}f", "d/".repeat(3_500));
        tar.extend(pax(&[("path", &path)]));
        tar.extend(entry(b'0', "x", b""));
    }
    [&tar[..], &END].concat()
}

fn attributes(count: usize) -> Vec<u8> {
    let names: Vec<String> = (0..count)
        .map(|number| format!("SCHILY.xattr.user.{number}"))
        .collect();
    let records: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "v")).collect();
    [&pax(&records)[..], &entry(b'0', "x", b""), &END].concat()
}

fn attribute_of(len: usize) -> Vec<u8> {
    let value = "v".repeat(len);
    let records = pax(&[("SCHILY.xattr.user.v", &value)]);
    [&records[..], &entry(b'0', "x", b""), &END].concat()
}

fn many() -> Vec<u8> {
    let mut tar = Vec::new();
    for number in 0..25_000 {
        tar.extend(entry(b'0', &format!("f{number}"), b""));
    }
    [&tar[..], &END].concat()
}

fn whiteouts() -> Vec<u8> {
    let mut tar = Vec::new();
    for number in 0..25_000 {
        tar.extend(entry(b'0', &format!(".wh.f{number}"), b""));
    }
    [&tar[..], &END].concat()
}

/// Links to each other, and a file that is below them.
fn circle() -> Vec<u8> {
    let link = |name: &str, target: &str| {
        let mut head = head(b'2', name, Some(0));
        head[157..157 + target.len()].copy_from_slice(target.as_bytes());
        sum(&mut head);
        head
    };
    [
        link("a", "b"),
        link("b", "a"),
        entry(b'0', "a/f", b"x"),
        END.to_vec(),
    ]
    .concat()
}

/// A sparse file as GNU tar writes it in its format 1.0, with so many parts of a byte.
fn sparse(size: &str, parts: usize) -> Vec<u8> {
    let mut map = format!("{parts}\n");
    for part in 0..parts {
        map += &format!("{}\n1\n", part * 2);
    }
    let mut content = map.into_bytes();
    content.resize(content.len().next_multiple_of(512), 0);
    content.resize(content.len() + parts, b'x');
    let records = pax(&[
        ("GNU.sparse.major", "1"),
        ("GNU.sparse.minor", "0"),
        ("GNU.sparse.name", "s"),
        ("GNU.sparse.realsize", size),
    ]);
    gzip(&[&records[..], &entry(b'0', "s", &content), &END].concat())
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

/// An extended header with these records, each of which begins with its own length.
fn pax(records: &[(&str, &str)]) -> Vec<u8> {
    let mut lines = String::new();
    for (name, value) in records {
        let rest = 3 + name.len() + value.len();
        let mut len = rest + 1;
        while len != rest + len.to_string().len() {
            len += 1;
        }
        lines += &format!("{len} {name}={value}\n");
    }
    entry(b'x', "records", lines.as_bytes())
}

fn entry(flag: u8, name: &str, content: &[u8]) -> Vec<u8> {
    let mut tar = head(flag, name, Some(content.len()));
    tar.extend_from_slice(content);
    tar.resize(tar.len().next_multiple_of(512), 0);
    tar
}

/// A header; without a size, one that says the largest.
fn head(flag: u8, name: &str, size: Option<usize>) -> Vec<u8> {
    let mut header = vec![0_u8; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[100..107].copy_from_slice(b"0000644");
    header[108..115].copy_from_slice(b"0000000");
    header[116..123].copy_from_slice(b"0000000");
    match size {
        Some(size) => header[124..135].copy_from_slice(format!("{size:011o}").as_bytes()),
        // GNU's numbers in base 256.
        None => header[124..136].copy_from_slice(&[0x80, 0, 0, 0, 0x7f, 255, 255, 255, 255, 255, 255, 255]),
    }
    header[136..147].copy_from_slice(b"00000000000");
    header[156] = flag;
    header[257..265].copy_from_slice(b"ustar\x0000");
    sum(&mut header);
    header
}

fn sum(header: &mut [u8]) {
    header[148..156].copy_from_slice(b"        ");
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(bytes).expect("a vector takes all");
    packed.finish().expect("a vector takes all")
}

/// The head of an xz stream whose block asks for this dictionary (the xz file format, 5.3.1): an encoder would need eleven
/// times as much memory.
fn xz_head(dictionary: u8) -> Vec<u8> {
    let crc = |bytes: &[u8]| {
        let mut crc = Crc::new();
        crc.update(bytes);
        crc.sum().to_le_bytes()
    };
    let block = [2, 0, 0x21, 1, dictionary, 0, 0, 0];
    let stream = [0, 1];
    let data = [1, 0, 0, b'x', 0];
    [
        &b"\xfd7zXZ\0"[..],
        &stream,
        &crc(&stream),
        &block,
        &crc(&block),
        &data,
    ]
    .concat()
}

/// A zstd frame header with this window (RFC 8878, 3.1.1.1.2) and a first block.
fn zstd_head(descriptor: u8) -> Vec<u8> {
    let block = [0x0b, 0, 0, b'x'];
    [&[0x28, 0xb5, 0x2f, 0xfd, 0x00, descriptor][..], &block].concat()
}

fn described(kind: &str, blob: &[u8]) -> String {
    let (digest, size) = (sha256(blob), blob.len());
    format!(r#"{{"mediaType": "{kind}", "digest": "sha256:{digest}", "size": {size}}}"#)
}

fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
