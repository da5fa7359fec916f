//! Making a catalog that anybody can host: a directory of static files.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use banger_model::KernelName;
use minisign::{KeyPair, SecretKey, SecretKeyBox};
use rustix::fs::{FlockOperation, flock};
use tempfile::NamedTempFile;

use super::place::{DOCUMENT, Place};
use super::{Catalog, CatalogKernel, Document, Error, PublicKey, artifact};
use crate::fetch::{Fetcher, Limits};
use crate::files::{self, OfFile};
use crate::kernel::{KernelRecord, KernelStore, arch_of};

/// How a catalog is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishOptions {
    /// The directory that is hosted, made when absent. Absolute.
    pub dir: PathBuf,
    /// The kernels; all there are when empty.
    pub names: Vec<KernelName>,
    /// What it is signed with.
    pub key: PublishKey,
    /// The distribution they come from; else what the catalog said before, or what the host is for its own packages.
    pub distro: Option<String>,
    /// What they are good for; else what the catalog said before.
    pub description: Option<String>,
}

/// A secret key of minisign, without a password. Paths are absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublishKey {
    /// The one in this file.
    Existing(PathBuf),
    /// A new one, which is put into this file, and its public key beside it with `.pub`.
    New(PathBuf),
}

/// What was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The key that users of the catalog configure.
    pub key: PublicKey,
    /// The kernels that were added or replaced.
    pub kernels: Vec<CatalogKernel>,
}

impl KernelStore {
    /// Makes a catalog of kernels, or adds them to the one that is in the directory. Artifacts appear before the
    /// document that names them, each by rename; artifacts that nothing names any more stay, because somebody may be
    /// pulling them. `note` is told what goes on.
    ///
    /// # Errors
    /// When there is no such kernel or key, the catalog that is there is not signed by this key, or files cannot be
    /// written.
    pub fn publish(&self, options: &PublishOptions, note: &mut dyn FnMut(&str)) -> Result<Published, Error> {
        let (PublishKey::Existing(key) | PublishKey::New(key)) = &options.key;
        for path in [&options.dir, key] {
            if !path.is_absolute() {
                return Err(crate::Error::Relative(path.clone()).into());
            }
        }
        let records = self.chosen(&options.names)?;
        let secret = secret_key(&options.key)?;
        let key = minisign::PublicKey::from_secret_key(&secret).map_err(|source| Error::Sign {
            what: "derive the public key",
            source,
        })?;
        let key = PublicKey::new(key);
        let dir = &options.dir;
        make_dir(dir)?;
        // Two at once would each leave out what the other adds.
        let lock = File::open(dir).of("open", dir)?;
        flock(&lock, FlockOperation::LockExclusive).of("lock", dir)?;
        let mut document = previous(dir, &key)?;
        let mut kernels = Vec::new();
        for record in &records {
            note(&format!("packing {}", record.name));
            let kernel = published(record, options, &document)?;
            document.set(kernel.clone());
            kernels.push(kernel);
        }
        write_document(dir, &document, &secret)?;
        Ok(Published { key, kernels })
    }

    fn chosen(&self, names: &[KernelName]) -> Result<Vec<KernelRecord>, Error> {
        let records = if names.is_empty() {
            self.list()?
        } else {
            let records = names.iter().map(|name| self.get(name));
            records.collect::<Result<_, crate::Error>>()?
        };
        if records.is_empty() {
            return Err(Error::NothingToPublish);
        }
        Ok(records)
    }
}

/// What the directory's catalog has. It is signed anew, so what is in it has to be from whoever has the key.
fn previous(dir: &Path, key: &PublicKey) -> Result<Document, Error> {
    let path = dir.join(DOCUMENT);
    if !path.exists() {
        return Ok(Document::default());
    }
    let text = path.display().to_string();
    let catalog = Catalog {
        location: text.parse().map_err(|_| crate::Error::Relative(path.clone()))?,
        name: text,
        key: key.clone(),
    };
    catalog.read_at(&Place::Path(path), &Fetcher::new(Limits::default()))
}

/// Puts a kernel's artifact into the directory.
fn published(
    record: &KernelRecord,
    options: &PublishOptions,
    before: &Document,
) -> Result<CatalogKernel, Error> {
    let dir = &options.dir;
    let mut beside = NamedTempFile::new_in(dir).of("make a file in", dir)?;
    let (sha256, bytes) = artifact::pack(record, beside.as_file_mut())?;
    let name = format!("{}-{}.tar.zst", record.name, sha256.short());
    // Named by its content, so no cache between us and a user ever has another one.
    put(beside, &dir.join(&name))?;
    let arch = arch_of(&record.vmlinux)?.to_owned();
    let before = before.kernel(&record.name, &arch);
    let distro = options.distro.clone();
    let description = options.description.clone();
    Ok(CatalogKernel {
        name: record.name.clone(),
        distro: distro
            .or_else(|| before.and_then(|kernel| kernel.distro.clone()))
            .or_else(|| distro_of(record)),
        arch,
        version: record.version.clone(),
        location: name.parse().expect("names of kernels and digests are plain"),
        sha256,
        bytes,
        description: description.or_else(|| before.and_then(|kernel| kernel.description.clone())),
        append: record.append.clone(),
        max_vcpus: record.max_vcpus,
    })
}

/// The distribution of a kernel that came from the host's own: its packages, or what it runs.
fn distro_of(record: &KernelRecord) -> Option<String> {
    let of_host = record.source.starts_with("package ") || record.source.starts_with("the host's kernel");
    let release = std::fs::read_to_string("/etc/os-release")
        .ok()
        .filter(|_| of_host)?;
    let id = release.lines().find_map(|line| line.strip_prefix("ID="))?;
    Some(id.trim_matches('"').to_owned())
}

fn write_document(dir: &Path, document: &Document, secret: &SecretKey) -> Result<(), Error> {
    let text = document.text();
    let comment = format!("banger catalog, timestamp:{}", crate::kernel::now());
    let comments = (Some(&*comment), Some("signature of a banger catalog"));
    let signature = minisign::sign(None, secret, &text[..], comments.0, comments.1);
    let signature = signature.map_err(|source| Error::Sign {
        what: "sign the catalog",
        source,
    })?;
    let path = dir.join(DOCUMENT);
    let Place::Path(signature_path) = Place::Path(path.clone()).signature() else {
        unreachable!("the signature of a path is a path")
    };
    for (path, bytes) in [
        (&signature_path, signature.into_string().as_bytes()),
        (&path, &text),
    ] {
        let mut beside = NamedTempFile::new_in(dir).of("make a file in", dir)?;
        beside.write_all(bytes).of("write", path)?;
        put(beside, path)?;
    }
    Ok(())
}

/// Puts a file in place, readable by the server that hosts it.
fn put(file: NamedTempFile, at: &Path) -> Result<(), Error> {
    let readable = Permissions::from_mode(0o644);
    file.as_file()
        .set_permissions(readable)
        .of("set the mode of", at)?;
    file.as_file().sync_all().of("sync", at)?;
    file.persist(at)
        .map_err(|error| error.error)
        .of("put in place", at)?;
    Ok(files::sync_parent(at)?)
}

fn secret_key(key: &PublishKey) -> Result<SecretKey, Error> {
    let path = match key {
        PublishKey::Existing(path) => path,
        PublishKey::New(path) => return new_key(path),
    };
    let text = std::fs::read_to_string(path).of("read", path)?;
    let unusable = |source| Error::SecretKey {
        path: path.clone(),
        source,
    };
    SecretKeyBox::from_string(&text)
        .and_then(SecretKeyBox::into_unencrypted_secret_key)
        .map_err(unusable)
}

/// Makes a key pair and writes it down, where nothing is.
fn new_key(path: &Path) -> Result<SecretKey, Error> {
    let failed = |source| Error::Sign {
        what: "make a key pair",
        source,
    };
    let pair = KeyPair::generate_unencrypted_keypair().map_err(failed)?;
    let secret = pair
        .sk
        .to_box(Some("secret key of a banger catalog"))
        .map_err(failed)?;
    let public = pair.pk.to_box().map_err(failed)?;
    let mut beside = path.to_owned().into_os_string();
    beside.push(".pub");
    write_new(path, &secret.into_string(), 0o600)?;
    write_new(Path::new(&beside), &public.into_string(), 0o644)?;
    Ok(pair.sk)
}

fn write_new(path: &Path, text: &str, mode: u32) -> Result<(), Error> {
    let mut options = OpenOptions::new();
    let made = options.write(true).create_new(true).mode(mode).open(path);
    let mut file = match made {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(Error::KeyExists(path.to_owned()));
        }
        made => made.of("make", path)?,
    };
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .of("write", path)?;
    Ok(())
}

/// Makes the directory when it is absent, readable by the server that hosts it whatever our own umask is.
fn make_dir(dir: &Path) -> Result<(), Error> {
    if dir.is_dir() {
        return Ok(());
    }
    std::fs::create_dir_all(dir).of("make the directory", dir)?;
    let readable = Permissions::from_mode(0o755);
    std::fs::set_permissions(dir, readable).of("set the mode of", dir)?;
    Ok(())
}
