//! Files of a guest, and how the agent says what came of a copy.

use std::pin::pin;

use banger_guest_api::{Channel, FilesDone, FilesEnd, GetFiles, PutFiles, STDIO_MUX, frame, routes};
use banger_wire::{FrameReader, whole};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::{Method, Request, StatusCode};
use tokio::io::{AsyncRead, AsyncWriteExt};

use crate::agent::Agent;
use crate::budget::{self, Budget};
use crate::client::bare;
use crate::error::Error;
use crate::stream::AgentStream;

/// Bytes that are read at once.
const CHUNK: usize = 16 << 10;

/// Bytes as frames of standard input.
pub fn frames(bytes: &[u8]) -> impl Stream<Item = Bytes> + Send + '_ {
    let parts = bytes.chunks(frame::MAX_PAYLOAD);
    stream::iter(parts.map(|part| Bytes::from(frame::encode(Channel::Stdin, part))))
}

impl Agent {
    /// Asks for files, or to take some, by a query; what comes back carries their frames.
    ///
    /// # Errors
    /// When the agent is not reached.
    pub async fn files(
        &self,
        asked: &'static str,
        method: Method,
        route: &'static str,
        query: &str,
    ) -> Result<AgentStream, Error> {
        let request = bare(method, &format!("{route}?{query}"));
        self.client.stream(asked, request, STDIO_MUX).await
    }

    /// Removes files in the guest, by the names of a body.
    ///
    /// # Errors
    /// When the agent is not reached, or cannot.
    pub async fn remove_files(&self, query: &str, names: Bytes) -> Result<FilesDone, Error> {
        let request = Request::post(format!("{}?{query}", routes::FILES_REMOVE)).body(whole(names));
        let request = request.expect("a query that was one already");
        self.client.answer("remove files", request).await
    }

    /// Asks for files; what comes back carries their frames.
    pub(crate) async fn get_files(&self, get: &GetFiles) -> Result<AgentStream, Error> {
        self.files("read files", Method::GET, routes::FILES, &get.to_query())
            .await
    }

    /// Copies a tar into the guest, in frames.
    pub(crate) async fn put_files(
        &self,
        put: &PutFiles,
        frames: impl Stream<Item = Bytes>,
    ) -> Result<FilesDone, Error> {
        self.put_frames("receive files", routes::FILES, &put.to_query(), frames)
            .await
    }

    /// Sends frames of standard input to a route that takes them until there are no more, and gives what became of them.
    pub(crate) async fn put_frames(
        &self,
        asked: &'static str,
        route: &'static str,
        query: &str,
        frames: impl Stream<Item = Bytes>,
    ) -> Result<FilesDone, Error> {
        let AgentStream { stream, sent } = self.files(asked, Method::PUT, route, query).await?;
        let (from, mut to) = stream.into_split();
        let sending = async {
            let mut frames = pin!(frames);
            while let Some(frame) = frames.next().await {
                to.write_all(&frame).await?;
            }
            to.write_all(&frame::header(Channel::Stdin, 0)).await
        };
        let mut end = pin!(end(asked, from, &sent));
        // An agent that takes no more says why. Closing the one direction could close both before it has.
        tokio::select! {
            end = &mut end => end,
            _ = sending => end.await,
        }
    }
}

/// What the agent says at the end of a copy, of which it had `sent` the beginning.
async fn end(asked: &'static str, from: impl AsyncRead + Unpin, sent: &[u8]) -> Result<FilesDone, Error> {
    let mut frames = FrameReader::new(from, sent, CHUNK);
    let Ok(Some(frame)) = frames.next().await else {
        return Err(Error::Ended { asked });
    };
    let end = budget::decode(frame.payload, Budget::SMALL);
    match end.map_err(|source| Error::Answer { asked, source })? {
        FilesEnd::Done(done) => Ok(done),
        FilesEnd::Failed(failure) => Err(Error::Refused {
            asked,
            status: StatusCode::BAD_REQUEST,
            source: Box::new(failure.into()),
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::guest::Guest;
    use crate::testing::Answers;
    use banger_guest_api::Failure;
    use banger_model::chain;

    /// An agent that switches to frames and sends these.
    fn agent(frames: &[(Channel, Vec<u8>)]) -> Agent {
        let mut answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: {STDIO_MUX}\r\n\r\n"
        )
        .into_bytes();
        for (channel, payload) in frames {
            answer.extend_from_slice(&frame::encode(*channel, payload));
        }
        Agent::new(Arc::new(Answers(answer)))
    }

    fn said(end: &FilesEnd) -> Vec<(Channel, Vec<u8>)> {
        vec![(Channel::Control, serde_json::to_vec(end).unwrap())]
    }

    /// Sends a tar that has no end.
    async fn endless(agent: Agent) -> Result<FilesDone, Error> {
        let tar = stream::repeat(Bytes::from(frame::encode(Channel::Stdin, &[0; 1 << 10])));
        let guest: &dyn Guest = &agent;
        guest.put_files(&PutFiles::default(), Box::pin(tar)).await
    }

    #[tokio::test]
    async fn a_guest_that_takes_no_more_says_why() {
        let full = FilesEnd::Failed(Failure::new("the disk is full"));
        let failed = endless(agent(&said(&full))).await.unwrap_err();
        assert_eq!(
            chain(&failed),
            "the guest failed to receive files: the disk is full"
        );
        let done = FilesDone {
            entries: 7,
            ..FilesDone::default()
        };
        let taken = endless(agent(&said(&FilesEnd::Done(done.clone())))).await;
        assert_eq!(taken.unwrap(), done);
    }

    #[tokio::test]
    async fn an_end_that_is_none_is_not_taken_for_one() {
        let nonsense = agent(&[(Channel::Control, b"[[[".to_vec())]);
        assert!(matches!(endless(nonsense).await, Err(Error::Answer { .. })));
    }

    #[tokio::test]
    async fn bytes_become_frames_of_all_of_them() {
        let bytes = vec![7; frame::MAX_PAYLOAD + 1];
        let framed: Vec<Bytes> = frames(&bytes).collect().await;
        let lengths: Vec<usize> = framed.iter().map(|frame| frame.len() - frame::HEADER).collect();
        assert_eq!(lengths, [frame::MAX_PAYLOAD, 1]);
    }
}
