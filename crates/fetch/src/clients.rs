//! HTTP clients, one for each host that a user named, and the waiting for them.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::redirect::{Attempt, Policy};
use reqwest::{Client, Url};
use tokio_util::sync::CancellationToken;

use crate::error::Error;
use crate::reach::Reach;
use crate::trust::Trust;
use crate::waiting::Waiting;

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

/// Clients with what they may do. Connections are kept while it is.
#[derive(Debug)]
pub(crate) struct Clients {
    pub(crate) limits: Limits,
    called_off: CancellationToken,
    waiting: OnceCell<Waiting>,
    trust: Trust,
    /// A client for each host that was named, made when first needed: where one host may lead is nothing to another.
    clients: RefCell<BTreeMap<String, Client>>,
}

impl Clients {
    /// Clients with these limits.
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            called_off: CancellationToken::new(),
            waiting: OnceCell::new(),
            trust: Trust::host(),
            clients: RefCell::default(),
        }
    }

    /// The same, which wait no longer when `called_off` is cancelled.
    pub(crate) fn until(self, called_off: CancellationToken) -> Self {
        Self { called_off, ..self }
    }

    /// Waits for `work` as long as somebody wants it.
    pub(crate) fn wait<T>(&self, work: impl Future<Output = T>) -> Result<T, Error> {
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
    pub(crate) fn client(&self, url: &Url) -> Result<Client, Error> {
        let host = url.host_str().unwrap_or_default();
        if let Some(client) = self.clients.borrow().get(host) {
            return Ok(client.clone());
        }
        let client = client(host, self.limits, &self.trust)
            .build()
            .map_err(Error::Client)?;
        self.clients.borrow_mut().insert(host.to_owned(), client.clone());
        Ok(client)
    }
}

/// A client for a host that the user named: what every client of banger's has.
pub fn client(named: &str, limits: Limits, trust: &Trust) -> reqwest::ClientBuilder {
    let reach = Reach::of(named);
    let follows = reach.clone();
    trust
        .give(Client::builder())
        .user_agent(concat!("banger/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(limits.connect)
        .read_timeout(limits.stall)
        .redirect(Policy::custom(move |attempt| redirect(attempt, &follows)))
        .dns_resolver(reach)
}

/// Follows redirections, but none that gives TLS up or leads nearer to this host than its server is.
fn redirect(attempt: Attempt<'_>, reach: &Reach) -> reqwest::redirect::Action {
    #[derive(Debug, thiserror::Error)]
    enum Refused {
        #[error("refused to follow a redirect from https to {0}")]
        Downgrade(String),
        #[error("more than {MOST_REDIRECTS} redirects")]
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
