//! Images that go elsewhere: an OCI image layout in a tar, which `docker load`, `skopeo`, `podman` and `image pull` take.
//!
//! Sources: the OCI image specification (`image-layout.md`, `manifest.md`, `config.md`, `layer.md`); Docker's image
//! specification 1.2 for `manifest.json`, without which older versions of `docker load` find nothing. The same image
//! gives the same bytes.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use banger_archive::{Entry, EntryKind, Writer, shown};
use banger_ext4::{Meta, Timestamp};
use banger_model::Compression;
use banger_oci::Platform;
use banger_store::{Digest, Digesting, Nameless, OfFile, files};
use serde_json::{Value, json};

use crate::blobs::{Blob, Blobs, Packer, unwritten};
use crate::error::ExportError;
use crate::read::{Item, LayerReader};
use crate::record::{ImageRecord, used};
use crate::store::ImageStore;
use crate::told::{Progress, Told};

/// What was exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// The archive.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// The digest of the image's manifest.
    pub manifest: Digest,
    /// How many layers it has.
    pub layers: usize,
}

impl ImageStore {
    /// Writes an image into a new file, which appears whole or not at all.
    ///
    /// # Errors
    /// When the file exists and may not be replaced, or is not an absolute path; when a layer cannot be read or holds what
    /// no OCI image can; when the archive cannot be written.
    pub fn export(
        &self,
        image: &ImageRecord,
        path: &Path,
        compression: Compression,
        force: bool,
        progress: Progress<'_>,
    ) -> Result<Exported, ExportError> {
        if !path.is_absolute() {
            return Err(banger_store::Error::Relative(path.to_owned()).into());
        }
        match path.symlink_metadata() {
            Ok(there) if !there.is_file() => return Err(ExportError::NoFile(path.to_owned())),
            Ok(_) if !force => return Err(ExportError::FileExists(path.to_owned())),
            _ => {}
        }
        let dir = path.parent().unwrap_or(path);
        let beside = Nameless::begin(dir)?;
        let (manifest, layers) = write_archive(image, beside.file(), compression, progress)?;
        let bytes = beside.file().metadata().of("inspect", path)?.len();
        beside.file().sync_all().of("sync", path)?;
        // As any archive that a person makes: its directory says who gets there.
        let mode = Permissions::from_mode(0o644);
        beside.file().set_permissions(mode).of("set the mode of", path)?;
        beside.place(path, force)?;
        files::sync_parent(path)?;
        Ok(Exported {
            path: path.to_owned(),
            bytes,
            manifest,
            layers,
        })
    }
}

/// Writes an image into an empty file. Gives the manifest's digest, and how many layers there are.
///
/// # Errors
/// When a layer cannot be read or holds what no OCI image can; when the archive cannot be written.
pub fn write_archive(
    image: &ImageRecord,
    file: &File,
    compression: Compression,
    progress: Progress<'_>,
) -> Result<(Digest, usize), ExportError> {
    let mut archive = Blobs::new(file);
    let mut readers: Vec<(PathBuf, LayerReader)> = Vec::new();
    for layer in &image.layers {
        readers.push((layer.path.clone(), LayerReader::open(layer)?));
    }
    if let Some(seed) = &image.work_seed {
        readers.push((seed.clone(), LayerReader::seed(seed)?));
    }
    let total: u64 = readers.iter().map(|(path, _)| used(path)).sum();
    let mut told = Told::new(progress, total);
    let layers: Vec<Blob> = readers
        .iter()
        .map(|(_, reader)| layer(&mut archive, reader, compression, &mut told))
        .collect::<Result<_, _>>()?;
    let config = archive.document(&configuration(image, &layers))?;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
        "layers": layers.iter().map(|layer| descriptor(media_type(compression), layer)).collect::<Vec<_>>(),
    });
    let manifest = archive.document(&manifest)?;
    let mut listed = descriptor("application/vnd.oci.image.manifest.v1+json", &manifest);
    listed["annotations"] = json!({"org.opencontainers.image.ref.name": image.name.as_str()});
    let place = |blob: &Blob| format!("blobs/sha256/{}", blob.digest);
    archive.file("oci-layout", &json!({"imageLayoutVersion": "1.0.0"}))?;
    archive.file(
        "index.json",
        &json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [listed],
        }),
    )?;
    archive.file(
        "manifest.json",
        &json!([{
            "Config": place(&config),
            "RepoTags": [format!("{}:latest", image.name.as_str().to_lowercase())],
            "Layers": layers.iter().map(place).collect::<Vec<_>>(),
        }]),
    )?;
    archive.finish()?;
    Ok((manifest.digest, layers.len()))
}

fn media_type(compression: Compression) -> &'static str {
    match compression {
        Compression::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
        Compression::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
        Compression::None => "application/vnd.oci.image.layer.v1.tar",
    }
}

fn descriptor(media_type: &str, blob: &Blob) -> Value {
    json!({
        "mediaType": media_type,
        "digest": format!("sha256:{}", blob.digest),
        "size": blob.bytes,
    })
}

/// How to run it, as the image's maker said.
fn configuration(image: &ImageRecord, layers: &[Blob]) -> Value {
    let platform = Platform::default();
    let config = image.config.clone().unwrap_or_default();
    let created = i64::try_from(image.created)
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .unwrap_or_default()
        .to_string();
    let mut run = serde_json::Map::new();
    let mut set = |key: &str, value: Value, is_said: bool| {
        if is_said {
            run.insert(key.to_owned(), value);
        }
    };
    set("Env", json!(config.env), !config.env.is_empty());
    set(
        "Entrypoint",
        json!(config.entrypoint),
        !config.entrypoint.is_empty(),
    );
    set("Cmd", json!(config.cmd), !config.cmd.is_empty());
    set("User", json!(config.user), !config.user.is_empty());
    set("WorkingDir", json!(config.workdir), !config.workdir.is_empty());
    set("Labels", json!(config.labels), !config.labels.is_empty());
    let ports: serde_json::Map<_, _> = config
        .exposed_ports
        .iter()
        .map(|port| (port.clone(), json!({})))
        .collect();
    set("ExposedPorts", json!(ports), !ports.is_empty());
    set(
        "StopSignal",
        json!(config.stop_signal),
        config.stop_signal.is_some(),
    );
    json!({
        "created": created,
        "architecture": platform.arch(),
        "os": platform.os(),
        "config": run,
        "rootfs": {
            "type": "layers",
            "diff_ids": layers.iter().map(|layer| format!("sha256:{}", layer.unpacked)).collect::<Vec<_>>(),
        },
        "history": layers.iter().map(|_| json!({"created": created, "created_by": "banger image export"})).collect::<Vec<_>>(),
    })
}

fn layer(
    archive: &mut Blobs<'_>,
    reader: &LayerReader,
    compression: Compression,
    told: &mut Told<'_>,
) -> Result<Blob, ExportError> {
    archive.blob(|to| {
        let packer = Packer::new(to, compression).map_err(unwritten)?;
        let mut tar = Writer::new(Digesting::new(packer));
        reader.walk(&mut |item| {
            let written = match item {
                Item::Entry { entry, inode } => {
                    told.add(entry.kind.stored())?;
                    refuse_mark(&entry)?;
                    tar.entry(&entry, &mut reader.content(&entry.kind, inode)?)
                }
                Item::Whiteout(path) => tar.entry(&mark(&path), &mut io::empty()),
                Item::Opaque(path) => tar.entry(&mark(&[&path[..], b"/.wh..opq"].concat()), &mut io::empty()),
            };
            written.map_err(unwritten)
        })?;
        let (packer, unpacked) = tar.finish().map_err(unwritten)?.finish();
        packer.finish().map_err(unwritten)?;
        Ok(unpacked)
    })
}

/// What such a name means in a layer is something else.
fn refuse_mark(entry: &Entry) -> Result<(), ExportError> {
    let name = entry.name.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    match name.starts_with(b".wh.") {
        true => Err(ExportError::Mark(shown(&entry.name))),
        false => Ok(()),
    }
}

/// The file that says that `path` is gone.
fn mark(path: &[u8]) -> Entry {
    let cut = path
        .iter()
        .rposition(|&byte| byte == b'/')
        .map_or(0, |slash| slash + 1);
    Entry {
        name: [&path[..cut], b".wh.", &path[cut..]].concat(),
        meta: Meta::new(0o600, Timestamp::default()),
        kind: EntryKind::File {
            size: 0,
            segments: Vec::new(),
        },
    }
}
