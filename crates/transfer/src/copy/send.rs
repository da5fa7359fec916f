//! What goes into a guest: files of this host, packed while they are sent, a tar that comes through a pipe, or one of another guest.

use std::io::{self, Read};

use banger_archive::pack::{PackError, Packer, Packing};
use banger_guest_api::{FilesDone, PutFiles};
use banger_wire::files::{FilesError, GetStream, PutStream};

use super::out::Out;
use super::thread::thread;
use crate::error::Error;
use crate::guest::GuestFiles;

/// Sends what `work` packs. What was left out is told with what was copied.
///
/// # Errors
/// When the guest could not write a file, or this side could not pack one.
pub async fn packed<G: GuestFiles>(
    guest: &G,
    put: &PutFiles,
    packing: Packing,
    count: impl Fn(u64) + Send + 'static,
    work: impl FnOnce(&mut Packer<&mut Out>) -> Result<(), PackError> + Send + 'static,
) -> Result<FilesDone, G::Error> {
    let written = sent(guest, put, count, true, move |out| {
        let mut packer = Packer::new(out, packing);
        work(&mut packer)?;
        Ok(packer.finish()?.1)
    });
    match written.await? {
        (Ok(mut done), Some(Ok(packed))) => {
            done.notes.extend(packed.notes);
            Ok(done)
        }
        (Err(error @ FilesError::Guest(_)), _) => Err(Error::from(error).into()),
        (_, Some(Err(Cut::Work(error)))) if !matches!(error, PackError::Write(_)) => {
            Err(Error::Pack(error).into())
        }
        (ended, _) => Ok(ended.map_err(Error::from)?),
    }
}

/// Sends a tar that is read.
///
/// # Errors
/// When the guest could not write a file, or the tar cannot be read.
pub async fn piped<G: GuestFiles>(
    mut from: impl Read + Send + 'static,
    guest: &G,
    put: &PutFiles,
    count: impl Fn(u64) + Send + 'static,
) -> Result<FilesDone, G::Error> {
    let written = sent(guest, put, count, false, move |out| {
        io::copy(&mut from, out).map(drop)
    });
    passed::<G>(written.await?)
}

/// Sends files of a guest on to another one.
///
/// # Errors
/// When one guest could not read a file, or the other could not write one.
pub async fn to_guest<G: GuestFiles>(
    files: GetStream,
    guest: &G,
    put: &PutFiles,
    count: impl Fn(u64) + Send + 'static,
) -> Result<FilesDone, G::Error> {
    let GetStream { mut tar, hangup } = files;
    let (told, end) = tokio::sync::oneshot::channel();
    let written = sent(guest, put, count, false, move |out| {
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
        Ok(read) => read.map_err(Error::from)?,
        Err(_) => FilesDone::default(),
    };
    let mut done = passed::<G>(written)?;
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
type Sent<T, E> = (Result<FilesDone, FilesError>, Option<Result<T, Cut<E>>>);

/// Sends what `work` writes. When the guest has said how it went, work that ends by itself (it is `finite`) is waited for: not
/// that which reads what may stay silent for ever.
async fn sent<G: GuestFiles, T: Send + 'static, E: Send + 'static>(
    guest: &G,
    put: &PutFiles,
    count: impl Fn(u64) + Send + 'static,
    finite: bool,
    work: impl FnOnce(&mut Out) -> Result<T, E> + Send + 'static,
) -> Result<Sent<T, E>, G::Error> {
    let PutStream { tar, end, hangup } = guest.put_files(put).await?;
    let mut out = Out::new(tar, count);
    let mut writing = thread(move || {
        let value = work(&mut out).map_err(Cut::Work)?;
        out.end().map_err(|_| Cut::Write)?;
        Ok(value)
    });
    let mut ending = thread(move || end.wait());
    let lost = |_| Error::Thread;
    tokio::select! {
        written = &mut writing => {
            let written = written.map_err(lost)?;
            if written.is_err() {
                // So that the other side does not take it for whole. It may have said before why it takes no more.
                drop(hangup);
            }
            Ok((ending.await.map_err(lost)?, Some(written)))
        }
        ended = &mut ending => {
            let ended = ended.map_err(lost)?;
            if ended.is_err() {
                drop(hangup);
            }
            let written = match finite {
                true => Some(writing.await.map_err(lost)?),
                false => None,
            };
            Ok((ended, written))
        }
    }
}

fn passed<G: GuestFiles>((ended, written): Sent<(), io::Error>) -> Result<FilesDone, G::Error> {
    match (ended, written) {
        (Err(FilesError::Stream(_) | FilesError::Ended), Some(Err(Cut::Work(error)))) => {
            Err(Error::Read(error).into())
        }
        // What follows a whole archive does not matter.
        (ended, _) => Ok(ended.map_err(Error::from)?),
    }
}
