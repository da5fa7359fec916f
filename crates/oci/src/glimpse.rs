//! The digest of a registry's tag, for a process that decodes nothing foreign.
//!
//! A pull of an image that has not changed needs no more than this, and starting a child for it would take longer than the
//! request. Whatever is not as simple is left to the child: a registry that wants TLS where plain HTTP is tried first, that
//! knows no HEAD, fails, or is slow.

use std::time::Duration;

use banger_fetch::Trust;
use banger_logins::Login;
use tokio::runtime::Handle;

use crate::endpoint::{Candidate, Endpoint, RegistryOptions};
use crate::reference::PullSource;

/// How long is waited. A child, which starts after that, waits as long as the configuration says.
const PATIENCE: Duration = Duration::from_secs(2);

/// The digest that a registry's tag has now, if the first registry to ask says it in the head of its answer. Of what is
/// sent, only heads and the token of an anonymous or a sent login (at most 1 MiB) are read. No helper for credentials is run.
pub async fn glimpse(source: &PullSource, options: &RegistryOptions) -> Option<String> {
    let PullSource::Registry(reference) = source else {
        return None;
    };
    // A file that a request names may be one that is never read to its end.
    if !options.ca_certs.is_empty() {
        return None;
    }
    let candidate = Candidate::all(reference, options).into_iter().next()?;
    let trust = match options.insecure {
        true => Trust::anybody(),
        false => Trust::host(),
    };
    let login = candidate.sent_login(options).cloned().unwrap_or(Login::None);
    let endpoint = Endpoint::with(&candidate, &trust, options, login).ok()?;
    // To judge a certificate, the host's authorities are read from files: on a thread that nobody else waits for.
    let runtime = Handle::current();
    let asking = tokio::task::spawn_blocking(move || {
        let said = tokio::time::timeout(PATIENCE, endpoint.repository.said_digest());
        runtime.block_on(said).ok()?.ok()?
    });
    tokio::time::timeout(PATIENCE, asking).await.ok()?.ok()?
}
