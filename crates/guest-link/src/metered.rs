//! A connection on which so much may come before there is a response. A guest that sends informational responses without end
//! (RFC 9110, section 15.2) would keep a thread of the daemon's: its HTTP client reads them as long as there are any.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;

/// The most bytes before a response: its head, and what of its body is read with it.
const MOST: usize = 256 << 10;

/// The connection.
#[derive(Debug)]
pub(crate) struct Metered {
    inner: UnixStream,
    read: usize,
    responded: Arc<AtomicBool>,
}

impl Metered {
    /// The connection, and what is set when there is a response.
    pub(crate) fn new(inner: UnixStream) -> (Self, Arc<AtomicBool>) {
        let responded = Arc::new(AtomicBool::new(false));
        let metered = Self {
            inner,
            read: 0,
            responded: Arc::clone(&responded),
        };
        (metered, responded)
    }

    /// The connection itself.
    pub(crate) fn into_inner(self) -> UnixStream {
        self.inner
    }
}

impl AsyncRead for Metered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.read > MOST && !self.responded.load(Ordering::Relaxed) {
            let what = "the guest sends more than any response has before its body";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, what)));
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(context, buffer);
        self.read = self.read.saturating_add(buffer.filled().len() - before);
        polled
    }
}

impl AsyncWrite for Metered {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
