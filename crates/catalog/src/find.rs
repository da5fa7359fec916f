//! Finding what catalogs offer, and bringing it here.

use std::io::Write;
use std::path::Path;

use banger_fetch::Fetcher;
use banger_image::Progress;
use banger_store::{Digesting, OfFile, files};

use crate::configured::Catalog;
use crate::document::{Document, Offer};
use crate::error::Error;

/// Bytes that are read at once.
const CHUNK: usize = 1 << 18;

/// Something that was found, and where.
#[derive(Debug, Clone)]
pub(crate) struct Found<'a, T> {
    pub(crate) catalog: &'a Catalog,
    pub(crate) offer: T,
}

/// The one offer of this name for this host. A catalog that cannot be read is told, and matters only when no other has
/// it.
pub(crate) fn find<'a, T: Offer>(
    catalogs: &'a [Catalog],
    name: &str,
    fetcher: &Fetcher,
    note: &mut dyn FnMut(&str),
) -> Result<Found<'a, T>, Error> {
    let (mut read, mut failed) = (Vec::new(), Vec::new());
    for catalog in catalogs {
        match catalog.read(fetcher) {
            Ok(document) => read.push((catalog, document)),
            Err(error) => failed.push((catalog, error)),
        }
    }
    let found = read.iter().filter_map(|(catalog, document)| {
        let offer = document.offer::<T>(name, std::env::consts::ARCH)?.clone();
        Some(Found { catalog, offer })
    });
    let mut found: Vec<_> = found.collect();
    if found.len() > 1 {
        return Err(Error::Ambiguous {
            kind: T::KIND,
            name: name.to_owned(),
            catalogs: found.iter().map(|found| found.catalog.name.clone()).collect(),
        });
    }
    match (found.pop(), failed) {
        (Some(found), failed) => {
            for (catalog, error) in failed {
                note(&unread(catalog, &error));
            }
            Ok(found)
        }
        (None, failed) => match failed.into_iter().next() {
            Some((_, error)) => Err(error),
            None => Err(not_found::<T>(&read, name)),
        },
    }
}

/// What a user is told of a catalog that cannot be read.
pub(crate) fn unread(catalog: &Catalog, error: &Error) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    let messages = std::iter::once(error.to_string()).chain(causes.map(ToString::to_string));
    let messages: Vec<_> = messages.collect();
    format!("catalog {} cannot be read: {}", catalog.name, messages.join(": "))
}

fn not_found<T: Offer>(read: &[(&Catalog, Document)], name: &str) -> Error {
    for (catalog, document) in read {
        let for_others = T::all(document).iter().filter(|offer| offer.name() == name);
        let for_machines: Vec<_> = for_others.map(|offer| offer.arch().to_owned()).collect();
        if !for_machines.is_empty() {
            return Error::OtherMachine {
                kind: T::KIND,
                name: name.to_owned(),
                catalog: catalog.name.clone(),
                for_machines,
                host: std::env::consts::ARCH,
            };
        }
    }
    if read.is_empty() {
        return Error::NoCatalogs;
    }
    let all = read.iter().flat_map(|(_, document)| T::all(document));
    Error::NotOffered {
        kind: T::KIND,
        name: name.to_owned(),
        catalogs: read.iter().map(|(catalog, _)| catalog.name.clone()).collect(),
        present: all.map(|offer| offer.name().to_owned()).collect(),
    }
}

impl<T: Offer> Found<'_, T> {
    /// Brings the artifact to `path`, and verifies length and digest on the way.
    pub(crate) fn download(
        &self,
        fetcher: &Fetcher,
        path: &Path,
        progress: Progress<'_>,
    ) -> Result<(), Error> {
        let (expected, sha256) = (self.offer.bytes(), self.offer.sha256());
        let place = self.catalog.location.document().artifact(self.offer.location());
        let mut stream = place.open(fetcher, expected)?;
        let mut to = Digesting::new(files::make_file(path)?);
        let mut buffer = vec![0; CHUNK];
        loop {
            if progress(to.bytes(), Some(expected)).is_break() {
                return Err(Error::Cancelled);
            }
            let read = stream.read(&mut buffer)?;
            let more = to.bytes() + read as u64 > expected;
            if more || read == 0 && to.bytes() < expected {
                return Err(Error::Length {
                    artifact: place.to_string(),
                    bytes: if more { expected } else { to.bytes() },
                    more,
                    expected,
                });
            }
            if read == 0 {
                break;
            }
            to.write_all(&buffer[..read]).of("write", path)?;
        }
        let (_, found) = to.finish();
        if found != sha256 {
            return Err(Error::Digest {
                artifact: place.to_string(),
                found,
                expected: sha256,
            });
        }
        Ok(())
    }
}
