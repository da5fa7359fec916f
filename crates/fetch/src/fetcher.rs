//! Fetching, as callers see it.

use reqwest::Url;
use tokio_util::sync::CancellationToken;

use crate::clients::{Clients, Limits};
use crate::download::Download;
use crate::error::Error;
use crate::shown::shown;

/// Fetches. Connections are kept while it is.
#[derive(Debug)]
pub struct Fetcher(Clients);

impl Fetcher {
    /// A fetcher with these limits.
    pub fn new(limits: Limits) -> Self {
        Self(Clients::new(limits))
    }

    /// The same, which stops at once with [`Error::CalledOff`] when `called_off` is cancelled, whatever it waits for.
    #[must_use]
    pub fn until(self, called_off: CancellationToken) -> Self {
        Self(self.0.until(called_off))
    }

    /// Begins to fetch `url`, which has `expected` bytes if that is known.
    ///
    /// # Errors
    /// When there is no good answer, after as many attempts as the limits say, or one of another length.
    pub fn open(&self, url: &Url, expected: Option<u64>) -> Result<Download<'_>, Error> {
        Download::begin(&self.0, url.clone(), expected)
    }

    /// Fetches all of a file that has at most `most` bytes.
    ///
    /// # Errors
    /// As [`open`](Self::open), and when there is more.
    pub fn small(&self, url: &Url, most: u64) -> Result<Vec<u8>, Error> {
        let mut download = self.open(url, None)?;
        let mut bytes = Vec::new();
        let mut buffer = [0; 1 << 14];
        loop {
            match download.read(&mut buffer)? {
                0 => return Ok(bytes),
                read => bytes.extend_from_slice(&buffer[..read]),
            }
            if bytes.len() as u64 > most {
                let url = shown(url);
                return Err(Error::TooLong { url, most });
            }
        }
    }
}
