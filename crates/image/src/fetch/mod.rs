//! Files over HTTP and HTTPS, read as a stream that mends itself.
//!
//! ```text
//!          ┌───────────── after a pause ─────────────┐
//!          ▼                                         │ broken, stalled, cut, 429, 5xx:
//!  ask (Range, If-Range) ──▶ read … read … read ─────┤ a bounded number of times without progress
//!                                          │         └──▶ the last failure
//!                                          └ all bytes ──▶ end
//! ```
//!
//! Who reads hears nothing of repetitions. Nothing here knows what is fetched; what came is trusted by its digest or
//! signature only, which is for the caller to check. Proxies are taken from the environment, as everywhere.

mod download;
mod error;
mod pause;
mod reach;

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::Client;
use reqwest::redirect::{Attempt, Policy};
use tokio_util::sync::CancellationToken;

use crate::waiting::Waiting;

pub use download::Download;
pub(crate) use download::content_range;
pub use error::Error;
pub(crate) use error::shown;
pub(crate) use pause::pause_after;
pub(crate) use reach::Reach;
pub use reach::Refused;
pub use reqwest::Url;

/// How long and how often a fetch may try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Until a connection is there.
    pub connect: Duration,
    /// Until the next bytes.
    pub stall: Duration,
    /// Attempts without progress, before the last failure is told.
    pub attempts: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            stall: Duration::from_secs(30),
            attempts: 5,
        }
    }
}

/// The most redirections that are followed, as browsers do.
const MOST_REDIRECTS: usize = 10;

/// Fetches. Connections are kept while it is.
#[derive(Debug)]
pub struct Fetcher {
    limits: Limits,
    called_off: CancellationToken,
    waiting: OnceCell<Waiting>,
    /// A client for each host that was named, made when first needed: where one host may lead is nothing to another.
    clients: RefCell<BTreeMap<String, Client>>,
}

impl Fetcher {
    /// A fetcher with these limits.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            called_off: CancellationToken::new(),
            waiting: OnceCell::new(),
            clients: RefCell::default(),
        }
    }

    /// The same, which stops at once with [`Error::CalledOff`] when `called_off` is cancelled, whatever it waits for.
    #[must_use]
    pub fn until(mut self, called_off: CancellationToken) -> Self {
        self.called_off = called_off;
        self
    }

    /// Begins to fetch `url`, which has `expected` bytes if that is known.
    ///
    /// # Errors
    /// When there is no good answer, after as many attempts as the limits say, or one of another length.
    pub fn open(&self, url: &Url, expected: Option<u64>) -> Result<Download<'_>, Error> {
        Download::begin(self, url.clone(), expected)
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

    /// Waits for `work` as long as somebody wants it.
    fn wait<T>(&self, work: impl Future<Output = T>) -> Result<T, Error> {
        self.waiting()?.wait(work).map_err(|_| Error::CalledOff)
    }

    fn waiting(&self) -> Result<&Waiting, Error> {
        if let Some(waiting) = self.waiting.get() {
            return Ok(waiting);
        }
        let waiting = Waiting::new(self.called_off.clone()).map_err(Error::Waiting)?;
        Ok(self.waiting.get_or_init(|| waiting))
    }

    /// The client for what the user named `url`.
    fn client(&self, url: &Url) -> Result<Client, Error> {
        let host = url.host_str().unwrap_or_default();
        if let Some(client) = self.clients.borrow().get(host) {
            return Ok(client.clone());
        }
        let client = client(host, self.limits).build().map_err(Error::Client)?;
        self.clients.borrow_mut().insert(host.to_owned(), client.clone());
        Ok(client)
    }
}

/// A client for a host that the user named: what every client of banger's has.
pub(crate) fn client(named: &str, limits: Limits) -> reqwest::ClientBuilder {
    choose_tls();
    let reach = Reach::of(named);
    let follows = reach.clone();
    Client::builder()
        .user_agent(concat!("banger/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(limits.connect)
        .read_timeout(limits.stall)
        .redirect(Policy::custom(move |attempt| redirect(attempt, &follows)))
        .dns_resolver(reach)
}

/// Has TLS done by ring, in all of this process.
fn choose_tls() {
    // Somebody else may have chosen, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Follows redirections, but none that gives TLS up or leads nearer to this host than its server is.
fn redirect(attempt: Attempt<'_>, reach: &Reach) -> reqwest::redirect::Action {
    #[derive(Debug, thiserror::Error)]
    enum Refused {
        #[error("it leads from https to {0}")]
        Downgrade(String),
        #[error("there are more than {MOST_REDIRECTS} redirections")]
        TooMany,
    }
    let was_safe = attempt
        .previous()
        .last()
        .is_some_and(|url| url.scheme() == "https");
    if was_safe && attempt.url().scheme() != "https" {
        let scheme = attempt.url().scheme().to_owned();
        return attempt.error(Refused::Downgrade(scheme));
    }
    if attempt.previous().len() > MOST_REDIRECTS {
        return attempt.error(Refused::TooMany);
    }
    match reach.check(attempt.url()) {
        Ok(()) => attempt.follow(),
        Err(refused) => attempt.error(refused),
    }
}
