//! The key that a publisher signs with.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use banger_store::OfFile;
use minisign::{KeyPair, SecretKey, SecretKeyBox};

use crate::error::Error;

/// A secret key of minisign, without a password. Paths are absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublishKey {
    /// The one in this file.
    Existing(PathBuf),
    /// A new one, which is put into this file, and its public key beside it with `.pub`.
    New(PathBuf),
}

/// The secret key, made if it shall be new.
pub(crate) fn secret_key(key: &PublishKey) -> Result<SecretKey, Error> {
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
        what: "create a key pair",
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
        made => made.of("create", path)?,
    };
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .of("write", path)?;
    Ok(())
}
