//! What goes into a VM: files of this host, packed while they are sent, a tar that comes through a pipe, or one of another VM.

use std::io;

use banger_api::stream::{FilesDone, PutFiles};
use banger_archive::pack::{PackError, Packer, Packing};
use banger_client::{Client, ClientError, GetStream, PutStream};

use super::{Out, thread};
use crate::failure::Failure;

/// Sends what `work` packs. What was left out is told with what was copied.
pub(crate) async fn packed(
    client: &Client,
    vm: &str,
    put: &PutFiles,
    packing: Packing,
    count: impl Fn(u64) + Send + 'static,
    work: impl FnOnce(&mut Packer<&mut Out>) -> Result<(), PackError> + Send + 'static,
) -> Result<FilesDone, Failure> {
    let written = sent(client, vm, put, count, true, move |out| {
        let mut packer = Packer::new(out, packing);
        work(&mut packer)?;
        Ok(packer.finish()?.1)
    });
    match written.await? {
        (Ok(mut done), Some(Ok(packed))) => {
            done.notes.extend(packed.notes);
            Ok(done)
        }
        (Err(error @ ClientError::Api(_)), _) => Err(error.into()),
        (_, Some(Err(Cut::Work(error)))) if !matches!(error, PackError::Write(_)) => {
            Err(Failure::during("copy files into the VM", &error))
        }
        (ended, _) => Ok(ended?),
    }
}

/// Sends what comes on standard input.
pub(crate) async fn piped(
    client: &Client,
    vm: &str,
    put: &PutFiles,
    count: impl Fn(u64) + Send + 'static,
) -> Result<FilesDone, Failure> {
    let written = sent(client, vm, put, count, false, |out| {
        io::copy(&mut io::stdin().lock(), out).map(drop)
    });
    passed(written.await?)
}

/// Sends files of a VM on to another one.
pub(crate) async fn to_vm(
    files: GetStream,
    client: &Client,
    vm: &str,
    put: &PutFiles,
    count: impl Fn(u64) + Send + 'static,
) -> Result<FilesDone, Failure> {
    let GetStream { mut tar, hangup } = files;
    let (told, end) = tokio::sync::oneshot::channel();
    let written = sent(client, vm, put, count, false, move |out| {
        io::copy(&mut tar, out)?;
        let end = tar.end();
        let is_whole = end.is_ok();
        let _ = told.send(end);
        match is_whole {
            true => Ok(()),
            false => Err(io::Error::other("it was cut short")),
        }
    });
    let written = written.await?;
    drop(hangup);
    // If one could not read, the archive of the other is cut short as a consequence.
    let read = match end.await {
        Ok(read) => read?,
        Err(_) => FilesDone::default(),
    };
    let mut done = passed(written)?;
    done.notes.extend(read.notes);
    Ok(done)
}

/// Why a tar that was sent is not whole.
enum Cut<E> {
    /// What makes it failed.
    Work(E),
    /// The connection takes no more, and its other side says why.
    Write,
}

/// What the guest says, and what the sender did, if that has ended.
type Sent<T, E> = (Result<FilesDone, ClientError>, Option<Result<T, Cut<E>>>);

/// Sends what `work` writes. When the guest has said how it went, work that ends by itself (it is `finite`) is waited for: not
/// that which reads what may stay silent for ever.
async fn sent<T: Send + 'static, E: Send + 'static>(
    client: &Client,
    vm: &str,
    put: &PutFiles,
    count: impl Fn(u64) + Send + 'static,
    finite: bool,
    work: impl FnOnce(&mut Out) -> Result<T, E> + Send + 'static,
) -> Result<Sent<T, E>, Failure> {
    let PutStream { tar, end, hangup } = client.put_files(vm, put).await?;
    let mut out = Out::new(tar, count);
    let mut writing = thread(move || {
        let value = work(&mut out).map_err(Cut::Work)?;
        out.end().map_err(|_| Cut::Write)?;
        Ok(value)
    });
    let mut ending = thread(move || end.wait());
    let lost = || Failure::new("a thread that copies files is gone", &[]);
    tokio::select! {
        written = &mut writing => {
            let written = written.map_err(|_| lost())?;
            if written.is_err() {
                // So that the other side does not take it for whole. It may have said before why it takes no more.
                drop(hangup);
            }
            Ok((ending.await.map_err(|_| lost())?, Some(written)))
        }
        ended = &mut ending => {
            let ended = ended.map_err(|_| lost())?;
            if ended.is_err() {
                drop(hangup);
            }
            let written = match finite {
                true => Some(writing.await.map_err(|_| lost())?),
                false => None,
            };
            Ok((ended, written))
        }
    }
}

fn passed((ended, written): Sent<(), io::Error>) -> Result<FilesDone, Failure> {
    match (ended, written) {
        (Err(ClientError::Stream(_) | ClientError::Ended), Some(Err(Cut::Work(error)))) => {
            Err(Failure::during("read the archive", &error))
        }
        // What follows a whole archive does not matter.
        (ended, _) => Ok(ended?),
    }
}
