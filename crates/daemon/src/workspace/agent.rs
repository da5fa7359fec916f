//! Asking the agent about a workspace.

use banger_guest_api::workspace::{Look, Protect, Seen};
use banger_guest_api::{OfDirectory, routes};
use bytes::Bytes;
use futures_util::Stream;
use http::Method;

use super::Error;
use crate::guest::{Guest, json};

/// Longer than what a guest has to tell of a million files.
const MAX_SEEN: usize = 256 << 20;

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
        let what = "tell what it has of the workspace";
        let (seen, told) = self
            .guest
            .long_answer(what, request, MAX_SEEN)
            .await
            .map_err(|source| self.error("look at", source))?;
        Ok((seen, (asked + told) as u64))
    }

    /// Sends a stream of entries, in frames.
    pub(crate) async fn put(self, frames: impl Stream<Item = Bytes>) -> Result<(), Error> {
        let of = OfDirectory {
            path: self.path.as_bytes().to_owned(),
        };
        let query = of.to_query();
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
            .long_answer::<serde_json::Value>(what, request, 1 << 10);
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
