//! What comes out of a guest: unpacked here, or written to a pipe as it is.

use std::io::{self, Write};

use banger_archive::unpack::{Destination, Unpacking, unpack};
use banger_guest_api::FilesDone;
use banger_wire::files::GetStream;

use super::thread::thread;
use crate::error::Error;

/// Unpacks files that come, unless it is `interrupted` before: then what was begun has been cleared up when this returns.
///
/// # Errors
/// When the guest could not read a file, this side could not write one, or it was interrupted.
pub async fn receive(
    files: GetStream,
    to: Destination,
    unpacking: Unpacking,
    count: impl Fn(u64) + Send + 'static,
    interrupted: impl Future<Output = ()>,
) -> Result<FilesDone, Error> {
    let GetStream { mut tar, hangup } = files;
    let mut work = thread(move || {
        let unpacked = unpack(&mut tar, to, &unpacking, &mut |bytes| count(bytes));
        // Which of both sides' words tell why: if the guest could not read, the archive is cut short as a consequence.
        let told = (unpacked.is_ok() || tar.is_ended()).then(|| tar.end());
        (unpacked, told)
    });
    let done = tokio::select! {
        done = &mut work => Some(done),
        () = interrupted => None,
    };
    drop(hangup);
    let Some(done) = done else {
        let _cleared_up = work.await;
        return Err(Error::Interrupted);
    };
    let (unpacked, told) = done.map_err(|_| Error::Thread)?;
    let told = told.transpose()?.unwrap_or_default();
    let unpacked = unpacked.map_err(Error::Unpack)?;
    Ok(FilesDone {
        entries: unpacked.entries,
        bytes: unpacked.bytes,
        notes: told.notes.into_iter().chain(unpacked.notes).collect(),
    })
}

/// Writes the tar as it comes. Says what the guest made of it, and how the writing ended: who reads it may have seen enough.
///
/// # Errors
/// When the guest could not read a file.
pub async fn pass_on(
    files: GetStream,
    to: impl Write + Send + 'static,
    count: impl Fn(u64) + Send + 'static,
) -> Result<(FilesDone, io::Result<()>), Error> {
    let GetStream { mut tar, hangup } = files;
    let work = thread(move || {
        let mut out = Counted {
            to,
            written: 0,
            count,
        };
        let written = io::copy(&mut tar, &mut out).and_then(|_| out.flush());
        let told = (written.is_ok() || tar.is_ended()).then(|| tar.end());
        (written, told)
    });
    let (written, told) = work.await.map_err(|_| Error::Thread)?;
    drop(hangup);
    Ok((told.transpose()?.unwrap_or_default(), written))
}

/// Counts what is written.
struct Counted<W, C> {
    to: W,
    written: u64,
    count: C,
}

impl<W: Write, C: Fn(u64)> Write for Counted<W, C> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.written += written as u64;
        (self.count)(self.written);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
