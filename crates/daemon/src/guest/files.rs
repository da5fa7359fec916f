//! The daemon's own files for a guest, and how the agent says what came of a copy.

use std::pin::pin;

use banger_guest_api::{Channel, Decoder, FilesDone, FilesEnd, GetFiles, PutFiles, frame, routes};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::{Method, StatusCode};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

use super::budget::{self, Budget};
use super::{AgentStream, Error, Guest};

/// Bytes that are read at once.
const CHUNK: usize = 16 << 10;

impl Guest {
    /// Copies a tar into the guest.
    pub(crate) async fn put_files(&self, put: &PutFiles, tar: &[u8]) -> Result<FilesDone, Error> {
        let parts = tar.chunks(frame::MAX_PAYLOAD);
        let frames = parts.map(|part| frame::encode(Channel::Stdin, part).into());
        self.put_frames("take files", routes::FILES, &put.to_query(), stream::iter(frames))
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

    /// Whether there is a file at an absolute path.
    pub(crate) async fn has_file(&self, path: &str) -> Result<bool, Error> {
        let asked = "look for a file";
        let get = GetFiles {
            paths: vec![path.as_bytes().to_owned()],
            ..GetFiles::default()
        };
        let query = get.to_query();
        let AgentStream { mut stream, sent } = self.files(asked, Method::GET, routes::FILES, &query).await?;
        // What comes first is a part of the file, or why there is none. The rest is not read.
        let mut first = sent.to_vec();
        while first.is_empty() {
            if stream.read_buf(&mut first).await.unwrap_or(0) == 0 {
                return Err(Error::Ended { asked });
            }
        }
        Ok(first.first() == Some(&(Channel::Stdout as u8)))
    }
}

/// What the agent says at the end of a copy, of which it had `sent` the beginning.
async fn end(asked: &'static str, mut from: impl AsyncRead + Unpin, sent: &[u8]) -> Result<FilesDone, Error> {
    let mut decoder = Decoder::new();
    decoder.extend(sent);
    let mut buffer = vec![0; CHUNK];
    loop {
        let frame = decoder.next_frame().map_err(|_| Error::Ended { asked })?;
        if let Some(frame) = frame {
            let end = budget::decode(frame.payload, Budget::SMALL);
            return match end.map_err(|source| Error::Answer { asked, source })? {
                FilesEnd::Done(done) => Ok(done),
                FilesEnd::Failed(failure) => Err(Error::Refused {
                    asked,
                    status: StatusCode::BAD_REQUEST,
                    source: Box::new(failure.into()),
                }),
            };
        }
        match from.read(&mut buffer).await {
            Ok(read) if read > 0 => decoder.extend(&buffer[..read]),
            _ => return Err(Error::Ended { asked }),
        }
    }
}
