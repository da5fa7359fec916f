//! Reading what is at a place.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use banger_fetch::{Download, Fetcher};
use banger_store::OfFile;

use crate::error::Error;
use crate::location::Place;

impl Place {
    /// Begins to read it; it has `expected` bytes.
    pub(crate) fn open<'a>(&self, fetcher: &'a Fetcher, expected: u64) -> Result<Stream<'a>, Error> {
        match self {
            Self::Url(url) => Ok(Stream::Download(Box::new(fetcher.open(url, Some(expected))?))),
            Self::Path(path) => {
                let file = File::open(path).of("open", path)?;
                Ok(Stream::File(file, path.clone()))
            }
        }
    }

    /// Reads all of it, of at most `most` bytes; nothing when it is not there.
    pub(crate) fn small(&self, fetcher: &Fetcher, most: u64) -> Result<Option<Vec<u8>>, Error> {
        match self {
            Self::Url(url) => match fetcher.small(url, most) {
                Ok(bytes) => Ok(Some(bytes)),
                Err(banger_fetch::Error::Absent { .. }) => Ok(None),
                Err(error) => Err(error.into()),
            },
            Self::Path(path) => {
                let file = match File::open(path) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                    file => file.of("open", path)?,
                };
                let mut bytes = Vec::new();
                file.take(most + 1).read_to_end(&mut bytes).of("read", path)?;
                if bytes.len() as u64 > most {
                    let url = path.display().to_string();
                    return Err(banger_fetch::Error::TooLong { url, most }.into());
                }
                Ok(Some(bytes))
            }
        }
    }
}

/// A file as it comes.
pub(crate) enum Stream<'a> {
    Download(Box<Download<'a>>),
    File(File, PathBuf),
}

impl Stream<'_> {
    /// Reads on; 0 is the end.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        match self {
            Self::Download(download) => Ok(download.read(buffer)?),
            Self::File(file, path) => Ok(file.read(buffer).of("read", path)?),
        }
    }
}
