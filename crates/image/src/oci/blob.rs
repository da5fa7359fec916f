//! Blobs of a registry, as they come.

use std::io::{self, Read};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use oci_client::client::{BlobResponse, LayerDescriptor, SizedStream};
use oci_client::errors::OciDistributionError as Answer;
use oci_client::{Client, Reference};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use super::retry;

/// Chunks of a layer that may wait for whoever unpacks it, of up to half a MiB each.
const WAITING: usize = 8;

/// A blob to be downloaded.
pub(super) struct Blob {
    pub(super) client: Arc<Client>,
    pub(super) reference: Reference,
    pub(super) digest: String,
    pub(super) size: u64,
    pub(super) urls: Option<Vec<String>>,
    /// How often it is asked for without progress.
    pub(super) attempts: u32,
}

impl Blob {
    /// Begins to download it.
    pub(super) fn download(self, runtime: &Runtime) -> Download {
        let (sender, receiver) = mpsc::channel(WAITING);
        runtime.spawn(self.send(sender));
        Download {
            receiver,
            chunk: Bytes::new(),
        }
    }

    /// Sends the blob's bytes, and goes on where it was when the stream breaks. An error comes last.
    async fn send(self, to: mpsc::Sender<io::Result<Bytes>>) {
        let mut at = 0;
        let mut patience = retry::Patience::new(self.attempts);
        while at < self.size {
            let before = at;
            let fault = match self.stream(at).await {
                Ok(stream) => match forward(stream, self.size, &mut at, &to).await {
                    Forwarded::Whole | Forwarded::Unwanted => return,
                    Forwarded::Broken(error) => Answer::IoError(error),
                },
                Err(answer) => answer,
            };
            patience.progressed(at - before);
            if !retry::is_worth_it(&fault) || !patience.wait().await {
                let _ = to.send(Err(io::Error::other(fault))).await;
                return;
            }
        }
    }

    /// The blob's bytes from `at` on.
    async fn stream(&self, at: u64) -> Result<SizedStream, Answer> {
        let layer = LayerDescriptor {
            digest: &self.digest,
            urls: &self.urls,
        };
        // Asking for a range keeps the library from hashing what we hash anyway.
        let answer = self
            .client
            .pull_blob_stream_partial(&self.reference, &layer, at, None);
        match answer.await? {
            BlobResponse::Partial(stream) => Ok(stream),
            BlobResponse::Full(mut stream) => {
                let mut skip = at;
                while skip > 0 {
                    let Some(chunk) = stream.next().await.transpose()? else {
                        break;
                    };
                    let rest = chunk.slice((chunk.len() as u64).min(skip) as usize..);
                    skip -= (chunk.len() - rest.len()) as u64;
                    if !rest.is_empty() {
                        let first = futures_util::stream::once(async { Ok(rest) });
                        stream.stream = first.chain(stream.stream).boxed();
                    }
                }
                Ok(stream)
            }
        }
    }
}

enum Forwarded {
    Whole,
    /// Nobody reads any more.
    Unwanted,
    Broken(io::Error),
}

async fn forward(
    mut stream: SizedStream,
    size: u64,
    at: &mut u64,
    to: &mpsc::Sender<io::Result<Bytes>>,
) -> Forwarded {
    while let Some(chunk) = stream.next().await {
        let chunk = match chunk {
            Ok(chunk) => chunk,
            Err(error) => return Forwarded::Broken(error),
        };
        *at += chunk.len() as u64;
        // One that is too long is told by whoever verifies it.
        if to.send(Ok(chunk)).await.is_err() {
            return Forwarded::Unwanted;
        }
        if *at > size {
            return Forwarded::Whole;
        }
    }
    if *at < size {
        return Forwarded::Broken(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            format!("the registry sent {at} of {size} bytes"),
        ));
    }
    Forwarded::Whole
}

/// A blob as it comes. It must be read outside of any runtime.
pub(super) struct Download {
    receiver: mpsc::Receiver<io::Result<Bytes>>,
    chunk: Bytes,
}

impl Read for Download {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() {
            match self.receiver.blocking_recv() {
                Some(chunk) => self.chunk = chunk?,
                None => return Ok(0),
            }
        }
        let len = buffer.len().min(self.chunk.len());
        buffer[..len].copy_from_slice(&self.chunk.split_to(len));
        Ok(len)
    }
}
