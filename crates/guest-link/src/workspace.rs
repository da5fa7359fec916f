//! Workspaces, as the agent keeps them.

use banger_guest_api::workspace::{Look, Protect, PutWorkspace, Seen};
use banger_guest_api::{FilesDone, routes};
use bytes::Bytes;
use futures_util::Stream;
use http::Method;
use serde::de::IgnoredAny;

use crate::agent::Agent;
use crate::budget::Budget;
use crate::client::json;
use crate::error::Error;

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

impl Agent {
    /// What there is, and how many bytes it took to ask.
    pub(crate) async fn look(&self, look: &Look) -> Result<(Seen, u64), Error> {
        let asked: usize = look.probe.iter().map(|path| path.len() + 3).sum();
        let probes = look.probe.len();
        let budget = Budget {
            bytes: SEEN.bytes + probes * SEEN_FOR_EACH.bytes + 2 * asked,
            values: SEEN.values + probes * SEEN_FOR_EACH.values,
        };
        let request = json(Method::POST, routes::WORKSPACE_LOOK, look);
        let what = "report the state of the workspace";
        let (seen, told) = self.client.long_answer(what, request, budget).await?;
        Ok((seen, (asked + told) as u64))
    }

    /// Sends a stream of entries, in frames.
    pub(crate) async fn put_entries(
        &self,
        put: &PutWorkspace,
        frames: impl Stream<Item = Bytes>,
    ) -> Result<FilesDone, Error> {
        self.put_frames("write files", routes::WORKSPACE, &put.to_query(), frames)
            .await
    }

    /// Makes one read-only, or writable again.
    pub(crate) async fn protect(&self, protect: &Protect) -> Result<(), Error> {
        let request = json(Method::POST, routes::WORKSPACE_PROTECT, protect);
        let what = "change the write access to a workspace";
        let answer = self
            .client
            .long_answer::<IgnoredAny>(what, request, Budget::SMALL);
        answer.await.map(drop)
    }
}
