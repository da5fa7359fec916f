//! Whether a signed document is the newest that its publisher made. A signature says who wrote a document, not when: whoever
//! serves a catalog could serve an old one for ever, with kernels and images whose faults are known since. So a document
//! has a serial number, which never goes back, and a day after which it is too old (as in The Update Framework,
//! "Rollback attacks" and "Freeze attacks").
//!
//! What this host has seen is kept in one small file for each catalog and key: the highest serial.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use banger_store::{Digest, Nameless, OfFile, files};
use jiff::Timestamp;
use rustix::fs::{FlockOperation, flock};
use sha2::{Digest as _, Sha256};

use crate::configured::Catalog;
use crate::document::Document;
use crate::error::Error;

impl Catalog {
    /// Refuses a document that is older than one which was seen before, or too old, and remembers its serial.
    pub(crate) fn check_freshness(&self, document: &Document, now: Timestamp) -> Result<(), Error> {
        if let Some(expires) = document.expires
            && expires < now
        {
            let catalog = self.name.clone();
            return Err(Error::Expired { catalog, expires });
        }
        let Some(path) = self.memory() else { return Ok(()) };
        let dir = path.parent().unwrap_or(&path);
        fs::create_dir_all(dir).of("create the directory", dir)?;
        // Two readers at once would each write what they saw, the older one last perhaps.
        let lock = File::open(dir).of("open", dir)?;
        flock(&lock, FlockOperation::LockExclusive).of("lock", dir)?;
        let seen = seen(&path)?;
        if document.serial < seen {
            return Err(Error::RolledBack {
                catalog: self.name.clone(),
                serial: document.serial,
                seen,
            });
        }
        if document.serial > seen {
            Nameless::sweep(dir);
            let mut beside = Nameless::begin(dir)?;
            beside
                .file_mut()
                .write_all(document.serial.to_string().as_bytes())
                .of("write", &path)?;
            beside.file().sync_all().of("sync", &path)?;
            beside.place(&path, true)?;
            files::sync_parent(&path)?;
        }
        Ok(())
    }

    /// Forgets which serial was seen: a user who removes a catalog and adds it again starts over.
    ///
    /// # Errors
    /// When the file is there and cannot be removed.
    pub fn forget(&self) -> Result<(), Error> {
        let Some(path) = self.memory() else { return Ok(()) };
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Ok(Err(error).of("remove", &path)?),
            _ => Ok(()),
        }
    }

    /// The file with the highest serial that was seen; the same catalog under another name is the same catalog.
    fn memory(&self) -> Option<PathBuf> {
        let mut hash = Sha256::new();
        hash.update(self.key.to_string());
        hash.update([0]);
        hash.update(self.location.document().to_string());
        Some(self.seen_dir.as_ref()?.join(Digest::of(hash).short()))
    }
}

/// The serial in a file; 0 when there is none. A file that says nothing readable is a fault, not a serial of 0.
fn seen(path: &Path) -> Result<u64, Error> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        text => text.of("read", path)?,
    };
    let unreadable = |_| std::io::Error::new(std::io::ErrorKind::InvalidData, "not a serial number");
    Ok(text.trim().parse().map_err(unreadable).of("read", path)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";

    fn catalog(dir: &Path, location: &str) -> Catalog {
        Catalog {
            name: "team".to_owned(),
            location: location.parse().unwrap(),
            key: KEY.parse().unwrap(),
            seen_dir: Some(dir.join("seen")),
        }
    }

    fn document(serial: u64, expires: Option<&str>) -> Document {
        let mut document = Document::default();
        document.serial = serial;
        document.expires = expires.map(|text| text.parse().unwrap());
        document
    }

    #[test]
    fn an_older_document_is_refused_whoever_signed_it() {
        let dir = tempfile::tempdir().unwrap();
        let (here, there) = (catalog(dir.path(), "/here"), catalog(dir.path(), "/there"));
        let now = "2026-11-29T12:00:00Z".parse().unwrap();
        let takes = |catalog: &Catalog, serial| catalog.check_freshness(&document(serial, None), now);
        // Catalogs of before have no serial.
        takes(&here, 0).unwrap();
        takes(&here, 7).unwrap();
        takes(&here, 7).unwrap();
        for older in [6, 1, 0] {
            let refusal = takes(&here, older).unwrap_err();
            assert!(matches!(refusal, Error::RolledBack { seen: 7, .. }), "{refusal}");
            assert!(refusal.is_of_trust());
            banger_cases::refused("registry", &format!("catalog.serial-{older}-after-7"));
        }
        // Another catalog of the same publisher counts for itself.
        takes(&there, 3).unwrap();
        takes(&here, 8).unwrap();
        assert!(takes(&here, 7).is_err());
        here.forget().unwrap();
        here.forget().unwrap();
        takes(&here, 1).unwrap();
    }

    #[test]
    fn a_document_past_its_day_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let catalog = catalog(dir.path(), "/here");
        let now = "2026-11-29T12:00:00Z".parse().unwrap();
        let takes = |expires| catalog.check_freshness(&document(1, Some(expires)), now);
        takes("2026-11-29T12:00:00Z").unwrap();
        for past in ["2026-11-29T11:59:59Z", "1970-01-01T00:00:00Z"] {
            let refusal = takes(past).unwrap_err();
            assert!(
                matches!(refusal, Error::Expired { .. }) && refusal.is_of_trust(),
                "{refusal}"
            );
        }
        banger_cases::refused("registry", "catalog.expired");
    }

    #[test]
    fn a_memory_that_cannot_be_read_is_no_new_beginning() {
        let dir = tempfile::tempdir().unwrap();
        let catalog = catalog(dir.path(), "/here");
        let now = Timestamp::UNIX_EPOCH;
        catalog.check_freshness(&document(7, None), now).unwrap();
        fs::write(catalog.memory().unwrap(), "x").unwrap();
        assert!(catalog.check_freshness(&document(1, None), now).is_err());
    }
}
