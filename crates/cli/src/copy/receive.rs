//! What comes out of a VM: unpacked here, written to a pipe as it is, or sent on to another VM.

use std::io::{self, Read, Write};

use banger_api::client::{Client, ClientError, Files, FilesPart};
use banger_api::stream::{FilesDone, PutFiles};
use banger_archive::unpack::{Destination, UnpackError, Unpacked, Unpacking, unpack};
use bytes::{Buf, Bytes};
use tokio::sync::mpsc;

use super::Chunk;
use super::out::AHEAD;
use super::send::chunks;
use crate::failure::Failure;
use crate::work::interruptible;

/// Unpacks files that come. A thread that is interrupted has cleared up when this returns.
pub(crate) async fn receive(
    mut files: Files,
    to: Destination,
    unpacking: Unpacking,
    count: impl Fn(u64) + Send + 'static,
) -> Result<FilesDone, Failure> {
    let (sender, from) = mpsc::channel(AHEAD);
    let unpacking = tokio::task::spawn_blocking(move || {
        let rest = Bytes::new();
        unpack(Chunks { from, rest }, to, &unpacking, &mut |bytes| count(bytes))
    });
    let came = interruptible(async { Ok(feed(&mut files, &sender).await) }).await;
    drop(sender);
    let unpacked = unpacking.await;
    let came = came?;
    let unpacked = unpacked.map_err(|error| Failure::during("write files", &error))?;
    outcome(came, unpacked)
}

/// Which of both sides' words tell why: if the guest could not read, the archive is cut short as a consequence.
fn outcome(
    came: Result<Option<FilesDone>, ClientError>,
    unpacked: Result<Unpacked, UnpackError>,
) -> Result<FilesDone, Failure> {
    let told = came?;
    let unpacked = unpacked.map_err(|error| Failure::during("copy files out of the VM", &error))?;
    Ok(FilesDone {
        entries: unpacked.entries,
        bytes: unpacked.bytes,
        notes: told
            .unwrap_or_default()
            .notes
            .into_iter()
            .chain(unpacked.notes)
            .collect(),
    })
}

/// Feeds the chunks of files. Nothing is told if nobody takes them any more.
async fn feed(files: &mut Files, to: &mpsc::Sender<Chunk>) -> Result<Option<FilesDone>, ClientError> {
    loop {
        match files.next().await {
            Ok(FilesPart::Bytes(bytes)) => {
                if to.send(Ok(bytes)).await.is_err() {
                    return Ok(None);
                }
            }
            Ok(FilesPart::Done(done)) => return Ok(Some(done)),
            Err(error) => {
                let _ = to.send(Err(io::Error::other("it was cut short"))).await;
                return Err(error);
            }
        }
    }
}

/// Writes the tar to standard output.
pub(crate) async fn to_pipe(mut files: Files, count: impl Fn(u64)) -> Result<FilesDone, Failure> {
    let mut stdout = io::stdout();
    let failed = |error: io::Error| Failure::during("write to standard output", &error);
    let mut written = 0;
    loop {
        match files.next().await? {
            FilesPart::Bytes(bytes) => {
                stdout.write_all(&bytes).map_err(failed)?;
                written += bytes.len() as u64;
                count(written);
            }
            FilesPart::Done(done) => {
                stdout.flush().map_err(failed)?;
                return Ok(done);
            }
        }
    }
}

/// Sends files of a VM on to another one.
pub(crate) async fn to_vm(
    mut files: Files,
    client: &Client,
    name: &str,
    put: &PutFiles,
    count: impl Fn(u64) + Send + Sync + 'static,
) -> Result<FilesDone, Failure> {
    let (to, from) = mpsc::channel(AHEAD);
    let feeding = async move {
        let fed = feed(&mut files, &to).await;
        // That is its end.
        drop(to);
        fed
    };
    let mut passed = 0;
    let counted = futures_util::StreamExt::inspect(chunks(from), move |chunk| {
        passed += chunk.as_ref().map_or(0, |bytes| bytes.len() as u64);
        count(passed);
    });
    let (fed, put) = tokio::join!(feeding, client.put_files(name, put, counted));
    let told = fed?.unwrap_or_default();
    let mut done = put?;
    done.notes.extend(told.notes);
    Ok(done)
}

/// Chunks as a reader that blocks.
struct Chunks {
    from: mpsc::Receiver<Chunk>,
    rest: Bytes,
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.from.blocking_recv() {
                None => return Ok(0),
                Some(chunk) => self.rest = chunk?,
            }
        }
        let taken = self.rest.len().min(buffer.len());
        self.rest.copy_to_slice(&mut buffer[..taken]);
        Ok(taken)
    }
}
