//! Asking the agent about a workspace.

use banger_guest_api::routes;
use banger_guest_api::workspace::{Look, Protect, PutWorkspace, Seen};
use bytes::Bytes;
use futures_util::Stream;
use http::Method;

use super::Error;
use crate::guest::budget::Budget;
use crate::guest::{Guest, json};

/// What a guest may tell of its workspace, and what more of it for each path that it is asked for: it has about as many files
/// as the host's repository.
const SEEN: Budget = Budget {
    bytes: 4 << 20,
    values: 64 << 10,
};
const SEEN_FOR_EACH: Budget = Budget {
    bytes: 256,
    values: 8,
};

/// A workspace in a guest.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Agent<'a> {
    /// The guest.
    pub(crate) guest: &'a Guest,
    /// Its directory there.
    pub(crate) path: &'a str,
}

impl Agent<'_> {
    /// What the guest has, and how many bytes it took to tell.
    pub(crate) async fn look(
        self,
        generation: Option<&str>,
        probe: Vec<String>,
    ) -> Result<(Seen, u64), Error> {
        let look = Look {
            path: self.path.to_owned(),
            generation: generation.map(str::to_owned),
            probe,
        };
        let asked: usize = look.probe.iter().map(|path| path.len() + 3).sum();
        let request = json(Method::POST, routes::WORKSPACE_LOOK, &look);
        let probes = look.probe.len();
        let budget = Budget {
            bytes: SEEN.bytes + probes * SEEN_FOR_EACH.bytes + 2 * asked,
            values: SEEN.values + probes * SEEN_FOR_EACH.values,
        };
        let what = "tell what it has of the workspace";
        let (seen, told) = self
            .guest
            .long_answer(what, request, budget)
            .await
            .map_err(|source| self.error("look at", source))?;
        Ok((seen, (asked + told) as u64))
    }

    /// Sends a stream of entries, in frames.
    pub(crate) async fn put(self, frames: impl Stream<Item = Bytes>) -> Result<(), Error> {
        let put = PutWorkspace {
            path: self.path.to_owned(),
            owner: self.guest.user().map(str::to_owned),
        };
        let query = put.to_query();
        let guest = self.guest;
        let put = guest.put_frames("write files", routes::WORKSPACE, &query, frames);
        put.await.map(drop).map_err(|source| self.error("write", source))
    }

    /// Makes it read-only, or writable again.
    pub(crate) async fn protect(self, readonly: bool) -> Result<(), Error> {
        let protect = Protect {
            path: self.path.to_owned(),
            readonly,
        };
        let request = json(Method::POST, routes::WORKSPACE_PROTECT, &protect);
        let what = "change who may write to a workspace";
        let answer = self
            .guest
            .long_answer::<serde::de::IgnoredAny>(what, request, Budget::SMALL);
        answer
            .await
            .map(drop)
            .map_err(|source| self.error("protect", source))
    }

    /// A failure of its agent to do something.
    pub(crate) fn error(self, what: &'static str, source: crate::guest::Error) -> Error {
        Error::Guest {
            what,
            path: self.path.to_owned(),
            source: Box::new(source),
        }
    }
}
