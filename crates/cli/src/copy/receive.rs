//! What comes out of a VM: unpacked here, or written to a pipe as it is.

use std::io::{self, Write};

use banger_api::stream::FilesDone;
use banger_archive::unpack::{Destination, Unpacking, unpack};
use banger_client::GetStream;

use super::thread;
use crate::failure::Failure;
use crate::print;
use crate::work::interruptible;

/// Unpacks files that come. A thread that is interrupted has cleared up when this returns.
pub(crate) async fn receive(
    files: GetStream,
    to: Destination,
    unpacking: Unpacking,
    count: impl Fn(u64) + Send + 'static,
) -> Result<FilesDone, Failure> {
    let GetStream { mut tar, hangup } = files;
    let mut work = thread(move || {
        let unpacked = unpack(&mut tar, to, &unpacking, &mut |bytes| count(bytes));
        // Which of both sides' words tell why: if the guest could not read, the archive is cut short as a consequence.
        let told = (unpacked.is_ok() || tar.is_ended()).then(|| tar.end());
        (unpacked, told)
    });
    let came = interruptible(async { Ok((&mut work).await) }).await;
    drop(hangup);
    let (unpacked, told) = match came {
        Ok(done) => done.map_err(|_| Failure::new("the thread that writes files is gone", &[]))?,
        Err(interrupted) => {
            let _cleared_up = work.await;
            return Err(interrupted);
        }
    };
    let told = told.transpose()?.unwrap_or_default();
    let unpacked = unpacked.map_err(|error| Failure::during("copy files out of the VM", &error))?;
    Ok(FilesDone {
        entries: unpacked.entries,
        bytes: unpacked.bytes,
        notes: told.notes.into_iter().chain(unpacked.notes).collect(),
    })
}

/// Writes the tar to standard output.
pub(crate) async fn to_pipe(
    files: GetStream,
    count: impl Fn(u64) + Send + 'static,
) -> Result<FilesDone, Failure> {
    let GetStream { mut tar, hangup } = files;
    let work = thread(move || {
        let mut out = Counted {
            to: print::stream::stdout(),
            written: 0,
            count,
        };
        let written = io::copy(&mut tar, &mut out).and_then(|_| out.flush());
        let told = (written.is_ok() || tar.is_ended()).then(|| tar.end());
        (written, told)
    });
    let (written, told) = work
        .await
        .map_err(|_| Failure::new("the thread that writes the archive is gone", &[]))?;
    drop(hangup);
    let told = told.transpose()?;
    print::written(written);
    Ok(told.unwrap_or_default())
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
