//! Layers written record by record, so that they hold what no packer would write, and layouts of them.

use std::fmt;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// An entry of a layer's tar.
#[derive(Clone)]
pub struct Entry {
    pub name: Vec<u8>,
    /// The header's type flag.
    pub flag: u8,
    pub mode: u32,
    pub owner: (u32, u32),
    /// Seconds and nanoseconds after them.
    pub mtime: (i64, u32),
    /// Where a link leads.
    pub target: Vec<u8>,
    pub device: (u32, u32),
    pub xattrs: Vec<(String, Vec<u8>)>,
    /// Records of its extended header beside those that this writes itself.
    pub records: Vec<(String, Vec<u8>)>,
    pub content: Vec<u8>,
}

impl fmt::Debug for Entry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} `{}` {:o} {:?} {:?} -> `{}`, {} bytes",
            char::from(self.flag),
            self.name.escape_ascii(),
            self.mode,
            self.owner,
            self.mtime,
            self.target.escape_ascii(),
            self.content.len()
        )
    }
}

impl Entry {
    fn new(flag: u8, name: impl AsRef<[u8]>, mode: u32) -> Self {
        Self {
            name: name.as_ref().to_vec(),
            flag,
            mode,
            owner: (0, 0),
            mtime: (1_600_000_000, 0),
            target: Vec::new(),
            device: (0, 0),
            xattrs: Vec::new(),
            records: Vec::new(),
            content: Vec::new(),
        }
    }

    pub fn dir(name: impl AsRef<[u8]>) -> Self {
        Self::new(b'5', name, 0o755)
    }

    pub fn file(name: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> Self {
        Self {
            content: content.as_ref().to_vec(),
            ..Self::new(b'0', name, 0o644)
        }
    }

    pub fn symlink(name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        Self {
            target: target.as_ref().to_vec(),
            ..Self::new(b'2', name, 0o777)
        }
    }

    pub fn hard_link(name: impl AsRef<[u8]>, existing: impl AsRef<[u8]>) -> Self {
        Self {
            target: existing.as_ref().to_vec(),
            ..Self::new(b'1', name, 0o644)
        }
    }

    pub fn device(flag: u8, name: impl AsRef<[u8]>, major: u32, minor: u32) -> Self {
        Self {
            device: (major, minor),
            ..Self::new(flag, name, 0o640)
        }
    }

    pub fn fifo(name: impl AsRef<[u8]>) -> Self {
        Self::new(b'6', name, 0o600)
    }

    /// The mark that `path` of lower layers is gone.
    pub fn whiteout(path: &str) -> Self {
        let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
        let slash = if dir.is_empty() { "" } else { "/" };
        Self::file(format!("{dir}{slash}.wh.{name}"), "")
    }

    /// The mark that all of lower layers in `dir` is gone; of the root with an empty `dir`.
    pub fn opaque(dir: &str) -> Self {
        let slash = if dir.is_empty() { "" } else { "/" };
        Self::file(format!("{dir}{slash}.wh..wh..opq"), "")
    }

    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    pub fn owner(mut self, uid: u32, gid: u32) -> Self {
        self.owner = (uid, gid);
        self
    }

    pub fn time(mut self, secs: i64, nanos: u32) -> Self {
        self.mtime = (secs, nanos);
        self
    }

    pub fn xattr(mut self, name: &str, value: &[u8]) -> Self {
        self.xattrs.push((name.to_owned(), value.to_vec()));
        self
    }

    /// A sparse file, as GNU tar writes it with `--sparse-version=1.0`.
    pub fn sparse(name: &str, size: u64, parts: &[(u64, &[u8])]) -> Self {
        let mut map = format!("{}\n", parts.len());
        for (offset, data) in parts {
            map += &format!("{offset}\n{}\n", data.len());
        }
        let mut content = map.into_bytes();
        content.resize(content.len().next_multiple_of(512), 0);
        for (_, data) in parts {
            content.extend_from_slice(data);
        }
        let record = |name: &str, value: String| (name.to_owned(), value.into_bytes());
        let mut entry = Self::file(format!("GNUSparseFile.0/{name}"), content);
        entry.records = vec![
            record("GNU.sparse.major", "1".to_owned()),
            record("GNU.sparse.minor", "0".to_owned()),
            record("GNU.sparse.name", name.to_owned()),
            record("GNU.sparse.realsize", size.to_string()),
        ];
        entry
    }

    /// Appends it, with what the header has no room for in an extended header.
    fn write(&self, tar: &mut Vec<u8>) {
        let mut records: Vec<(String, Vec<u8>)> = self.records.clone();
        let mut record = |name: &str, value: &[u8]| records.push((name.to_owned(), value.to_vec()));
        if self.name.len() > 100 {
            record("path", &self.name);
        }
        if self.target.len() > 100 {
            record("linkpath", &self.target);
        }
        let (secs, nanos) = self.mtime;
        if nanos != 0 || secs < 0 {
            record("mtime", decimal(secs, nanos).as_bytes());
        }
        for (name, id) in [("uid", self.owner.0), ("gid", self.owner.1)] {
            if id > 0o7_777_777 {
                record(name, id.to_string().as_bytes());
            }
        }
        for (name, value) in &self.xattrs {
            record(&format!("SCHILY.xattr.{name}"), value);
        }
        if !records.is_empty() {
            let lines: Vec<u8> = records
                .iter()
                .flat_map(|(name, value)| line(name, value))
                .collect();
            header(tar, &Self::new(b'x', "records", 0o644), lines.len());
            padded(tar, &lines);
        }
        header(tar, self, self.content.len());
        padded(tar, &self.content);
    }
}

/// Seconds as pax has them: a decimal, with the sign in front of all of it.
fn decimal(secs: i64, nanos: u32) -> String {
    match (secs, nanos) {
        (secs, 0) => secs.to_string(),
        (secs, nanos) if secs >= 0 => format!("{secs}.{nanos:09}"),
        (secs, nanos) => format!("-{}.{:09}", -(secs + 1), 1_000_000_000 - nanos),
    }
}

/// A record of an extended header, which begins with its own length.
fn line(name: &str, value: &[u8]) -> Vec<u8> {
    let rest = 1 + name.len() + 1 + value.len() + 1;
    let mut len = rest + 1;
    while len != rest + len.to_string().len() {
        len += 1;
    }
    [format!("{len} {name}=").as_bytes(), value, b"\n"].concat()
}

fn header(tar: &mut Vec<u8>, entry: &Entry, size: usize) {
    let mut header = [0_u8; 512];
    let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &entry.name[..entry.name.len().min(100)]);
    put(100, format!("{:07o}", entry.mode).as_bytes());
    put(108, format!("{:07o}", entry.owner.0.min(0o7_777_777)).as_bytes());
    put(116, format!("{:07o}", entry.owner.1.min(0o7_777_777)).as_bytes());
    put(124, format!("{size:011o}").as_bytes());
    put(136, format!("{:011o}", entry.mtime.0.max(0)).as_bytes());
    put(148, b"        ");
    put(156, &[entry.flag]);
    put(157, &entry.target[..entry.target.len().min(100)]);
    put(257, b"ustar\x0000");
    put(329, format!("{:07o}", entry.device.0).as_bytes());
    put(337, format!("{:07o}", entry.device.1).as_bytes());
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    tar.extend_from_slice(&header);
}

fn padded(tar: &mut Vec<u8>, content: &[u8]) {
    tar.extend_from_slice(content);
    tar.resize(tar.len().next_multiple_of(512), 0);
}

/// The tar of a layer.
pub fn tar(entries: &[Entry]) -> Vec<u8> {
    let mut tar = Vec::new();
    for entry in entries {
        entry.write(&mut tar);
    }
    tar.resize(tar.len() + 1024, 0);
    tar
}

/// How a layer is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    Plain,
    Gzip,
    Zstd,
    /// As estargz: many gzip members, the last of which is empty.
    Members,
}

impl Packing {
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Plain => "application/vnd.oci.image.layer.v1.tar",
            Self::Gzip | Self::Members => "application/vnd.oci.image.layer.v1.tar+gzip",
            Self::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
        }
    }

    pub fn pack(self, tar: &[u8]) -> Vec<u8> {
        match self {
            Self::Plain => tar.to_vec(),
            Self::Gzip => gzip(tar),
            Self::Zstd => zstd::encode_all(tar, 1).unwrap(),
            Self::Members => tar.chunks(700).chain([&b""[..]]).flat_map(gzip).collect(),
        }
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

pub fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A layer as a manifest describes it. Each field may be made wrong.
#[derive(Clone, Debug)]
pub struct Described {
    pub media_type: String,
    pub digest: String,
    pub size: usize,
    pub diff_id: String,
    pub blob: Vec<u8>,
}

impl Described {
    pub fn new(tar: &[u8], packing: Packing) -> Self {
        let blob = packing.pack(tar);
        Self {
            media_type: packing.media_type().to_owned(),
            digest: sha256(&blob),
            size: blob.len(),
            diff_id: sha256(tar),
            blob,
        }
    }
}

/// An OCI image layout in the making.
pub struct Layout(pub PathBuf);

impl Layout {
    pub fn new(dir: &Path) -> Self {
        fs::create_dir_all(dir.join("blobs/sha256")).unwrap();
        fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion": "1.0.0"}"#).unwrap();
        Self(dir.to_owned())
    }

    /// Puts a blob under a digest, which may be another's, and gives its descriptor's fields.
    pub fn blob(&self, digest: &str, bytes: &[u8]) -> String {
        fs::write(self.0.join("blobs/sha256").join(digest), bytes).unwrap();
        format!(r#""digest": "sha256:{digest}", "size": {}"#, bytes.len())
    }

    /// Writes configuration and manifest for layers, and the index that leads to them as `latest`.
    pub fn image(&self, layers: &[Described]) {
        let manifest = self.manifest(layers);
        self.index(&[format!(
            r#"{{"mediaType": "application/vnd.oci.image.manifest.v1+json", {},
                "annotations": {{"org.opencontainers.image.ref.name": "latest"}}}}"#,
            self.blob(&sha256(manifest.as_bytes()), manifest.as_bytes())
        )]);
    }

    /// The manifest for layers; all it names is written.
    pub fn manifest(&self, layers: &[Described]) -> String {
        let diff_ids: Vec<String> = layers
            .iter()
            .map(|layer| format!(r#""sha256:{}""#, layer.diff_id))
            .collect();
        let config = format!(
            r#"{{"architecture": "amd64", "os": "linux", "config": {{}},
                "rootfs": {{"type": "layers", "diff_ids": [{}]}}}}"#,
            diff_ids.join(",")
        );
        let config = self.blob(&sha256(config.as_bytes()), config.as_bytes());
        let layers: Vec<String> = layers
            .iter()
            .map(|layer| {
                self.blob(&layer.digest, &layer.blob);
                format!(
                    r#"{{"mediaType": "{}", "digest": "sha256:{}", "size": {}}}"#,
                    layer.media_type, layer.digest, layer.size
                )
            })
            .collect();
        format!(
            r#"{{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "config": {{"mediaType": "application/vnd.oci.image.config.v1+json", {config}}},
                "layers": [{}]}}"#,
            layers.join(",")
        )
    }

    pub fn index(&self, manifests: &[String]) {
        let index = format!(
            r#"{{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [{}]}}"#,
            manifests.join(",")
        );
        fs::write(self.0.join("index.json"), index).unwrap();
    }
}
