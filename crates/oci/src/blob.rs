//! Blobs of a registry, as they come.

use std::io::{self, Read};
use std::sync::Arc;

use banger_fetch::{Waiting, shown};
use bytes::Bytes;
use reqwest::Response;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::answer::Answer;
use crate::repository::Repository;
use crate::retry;

/// Chunks of a layer that may wait for whoever unpacks it, of up to half a MiB each.
const WAITING: usize = 8;

/// A blob to be downloaded.
pub(crate) struct Blob {
    pub(crate) repository: Arc<Repository>,
    pub(crate) digest: String,
    pub(crate) size: u64,
    /// Where else it may be had.
    pub(crate) urls: Vec<String>,
    /// How often it is asked for without progress.
    pub(crate) attempts: u32,
}

impl Blob {
    /// Begins to download it. Reading ends with an error when `called_off` is cancelled.
    pub(crate) fn download(self, waiting: &Waiting, called_off: CancellationToken) -> Download<'_> {
        let (sender, receiver) = mpsc::channel(WAITING);
        waiting.beside(self.send(sender));
        Download {
            waiting,
            called_off,
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
            let asked = self.repository.blob(&self.digest, at, &self.urls).await;
            let fault = match asked {
                Ok((response, skip)) => match self.forward(response, skip, &mut at, &to).await {
                    Ok(()) => return,
                    Err(fault) => fault,
                },
                Err(answer) => answer,
            };
            patience.progressed(at - before);
            if !fault.may_pass() || !patience.wait().await {
                let _ = to.send(Err(io::Error::other(fault))).await;
                return;
            }
        }
    }

    /// Sends what comes but for the first `skip` bytes, to the end or until nobody reads any more.
    async fn forward(
        &self,
        mut response: Response,
        mut skip: u64,
        at: &mut u64,
        to: &mpsc::Sender<io::Result<Bytes>>,
    ) -> Result<(), Answer> {
        let url = response.url().clone();
        while let Some(mut chunk) = response
            .chunk()
            .await
            .map_err(|source| Answer::broken(&url, source))?
        {
            let passed = (chunk.len() as u64).min(skip);
            let chunk = chunk.split_off(passed as usize);
            skip -= passed;
            if chunk.is_empty() {
                continue;
            }
            *at += chunk.len() as u64;
            // One that is too long is told by whoever verifies it.
            if to.send(Ok(chunk)).await.is_err() || *at > self.size {
                return Ok(());
            }
        }
        if *at < self.size {
            return Err(Answer::Cut {
                url: shown(&url),
                got: *at,
                wanted: self.size,
            });
        }
        Ok(())
    }
}

/// A blob as it comes. It must be read outside of any runtime.
pub(crate) struct Download<'a> {
    waiting: &'a Waiting,
    called_off: CancellationToken,
    receiver: mpsc::Receiver<io::Result<Bytes>>,
    chunk: Bytes,
}

impl Read for Download<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() {
            let next = self.waiting.wait_unless(&self.called_off, self.receiver.recv());
            match next.map_err(io::Error::other)? {
                Some(chunk) => self.chunk = chunk?,
                None => return Ok(0),
            }
        }
        let len = buffer.len().min(self.chunk.len());
        buffer[..len].copy_from_slice(&self.chunk.split_to(len));
        Ok(len)
    }
}
