//! Files of a published catalog: how each appears whole, and how what an interrupted publisher left is finished.

use banger_store::OfFile;
use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use banger_store::{Digest, Digesting, Nameless, files};
use jiff::Timestamp;
use minisign::SecretKey;

use crate::document::Document;
use crate::error::Error;
use crate::location::{DOCUMENT, Place, RelativeLocation, SIGNATURE};
use crate::signature::PublicKey;

/// The document of the next state, before the signature is its own.
const NEXT: &str = ".catalog.json.next";

pub(super) fn digest_of(file: &mut File) -> io::Result<(Digest, u64)> {
    io::Seek::rewind(file)?;
    let mut digesting = Digesting::new(io::sink());
    let bytes = io::copy(file, &mut digesting)?;
    Ok((digesting.finish().1, bytes))
}

/// Names an artifact by its content, so that no cache between us and a user ever has another one.
pub(super) fn place(
    file: Nameless,
    dir: &Path,
    name: &str,
    sha256: Digest,
    end: &str,
) -> Result<RelativeLocation, Error> {
    let name = format!("{name}-{}.{end}", sha256.short());
    put(file, &dir.join(&name))?;
    Ok(name.parse().expect("names and digests are plain"))
}

pub(super) fn write_document(dir: &Path, document: &Document, secret: &SecretKey) -> Result<(), Error> {
    let text = document.text();
    let comment = format!("banger catalog, timestamp:{}", Timestamp::now().as_second());
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
    let next = dir.join(NEXT);
    for (path, bytes) in [
        (&next, &text[..]),
        (&signature_path, signature.into_string().as_bytes()),
    ] {
        let mut beside = Nameless::begin(dir)?;
        beside.file_mut().write_all(bytes).of("write", path)?;
        put(beside, path)?;
    }
    std::fs::rename(&next, &path).of("rename a file to", &path)?;
    Ok(files::sync_parent(&path)?)
}

/// Finishes what a publisher began who was killed. With the signature of one state and the document of another, nobody could read
/// the catalog, nor continue it.
pub(super) fn finish_interrupted(dir: &Path, key: &PublicKey) -> Result<(), Error> {
    Nameless::sweep(dir);
    let (next, path) = (dir.join(NEXT), dir.join(DOCUMENT));
    let text = match std::fs::read(&next) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        text => text.of("read", &next)?,
    };
    let signature = std::fs::read_to_string(dir.join(format!("{DOCUMENT}{SIGNATURE}"))).unwrap_or_default();
    let shown = path.display().to_string();
    match key.verify(&shown, &signature, &text) {
        Ok(()) => std::fs::rename(&next, &path).of("rename a file to", &path)?,
        // Another publisher's, who finishes it.
        Err(Error::OtherKey { .. }) => return Ok(()),
        // It was not signed yet: the state before it is whole.
        Err(_) => std::fs::remove_file(&next).of("remove", &next)?,
    }
    Ok(files::sync_parent(&path)?)
}

/// Puts a file in place, readable by the server that hosts it.
fn put(file: Nameless, at: &Path) -> Result<(), Error> {
    let readable = Permissions::from_mode(0o644);
    file.file().set_permissions(readable).of("set the mode of", at)?;
    file.file().sync_all().of("sync", at)?;
    file.place(at, true)?;
    Ok(files::sync_parent(at)?)
}

/// Makes the directory when it is absent, readable by the server that hosts it whatever our own umask is.
pub(super) fn make_dir(dir: &Path) -> Result<(), Error> {
    if dir.is_dir() {
        return Ok(());
    }
    std::fs::create_dir_all(dir).of("create the directory", dir)?;
    let readable = Permissions::from_mode(0o755);
    std::fs::set_permissions(dir, readable).of("set the mode of", dir)?;
    Ok(())
}
