//! A disk at rest: its file system is frozen, so that a copy of the disk has one that was unmounted.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame};
use tokio::time::Sleep;

/// `FIFREEZE` and `FITHAW` (ioctl_fifreeze(2), the kernel's `include/uapi/linux/fs.h`); their argument is not used.
const FIFREEZE: u64 = 0xC004_5877;
const FITHAW: u64 = 0xC004_5878;

/// The longest that a disk is frozen: whatever becomes of the host's side, the guest goes on.
const LONGEST: Duration = Duration::from_secs(60);

/// A frozen file system; it goes on when this is dropped.
#[derive(Debug)]
pub(crate) struct Frozen(OwnedFd);

impl Frozen {
    /// Writes out and freezes the file system of `disk`.
    pub(crate) fn new(disk: OwnedFd) -> io::Result<Self> {
        ask(&disk, FIFREEZE)?;
        Ok(Self(disk))
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        thaw(&self.0);
    }
}

/// Lets the file system of `disk` go on. One that is not frozen is let be.
pub(crate) fn thaw(disk: &OwnedFd) {
    let _ = ask(disk, FITHAW);
}

fn ask(disk: &OwnedFd, request: u64) -> io::Result<()> {
    // SAFETY: these requests read no argument.
    match unsafe { libc::ioctl(disk.as_raw_fd(), request as _, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A body that says that the disk is frozen, and keeps it so until the client leaves or the time is over.
pub(crate) struct Hold {
    frozen: Option<Frozen>,
    told: bool,
    over: Pin<Box<Sleep>>,
}

impl Hold {
    pub(crate) fn new(frozen: Frozen) -> Self {
        Self {
            frozen: Some(frozen),
            told: false,
            over: Box::pin(tokio::time::sleep(LONGEST)),
        }
    }
}

impl Body for Hold {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if !self.told {
            self.told = true;
            return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"{}\n")))));
        }
        std::task::ready!(self.over.as_mut().poll(context));
        self.frozen = None;
        Poll::Ready(None)
    }
}
