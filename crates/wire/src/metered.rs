//! A stream on which so much may come before there is a response. A peer that sends informational responses without end
//! (RFC 9110, section 15.2) would keep a thread of this program's: the HTTP client reads them as long as there are any.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The most bytes before a response: its head, and what of its body is read with it.
const MOST: usize = 256 << 10;

/// No response is waited for.
const ANY: usize = usize::MAX;

/// How many bytes may come.
#[derive(Debug, Clone)]
pub(crate) struct Meter(Arc<AtomicUsize>);

impl Meter {
    /// A response is waited for.
    pub(crate) fn begin(&self) {
        self.0.store(MOST, Ordering::Relaxed);
    }

    /// It is there.
    pub(crate) fn end(&self) {
        self.0.store(ANY, Ordering::Relaxed);
    }

    fn is_used_up(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }

    fn count(&self, bytes: usize) {
        let less = |left| (left != ANY).then(|| usize::saturating_sub(left, bytes));
        // Unless any number may come.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }
}

/// The stream.
#[derive(Debug)]
pub(crate) struct Metered<S> {
    inner: S,
    meter: Meter,
}

impl<S> Metered<S> {
    /// The stream, and what says when a response is waited for.
    pub(crate) fn new(inner: S) -> (Self, Meter) {
        let meter = Meter(Arc::new(AtomicUsize::new(ANY)));
        let metered = Self {
            inner,
            meter: meter.clone(),
        };
        (metered, meter)
    }

    /// The stream itself.
    pub(crate) fn into_inner(self) -> S {
        self.inner
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.meter.is_used_up() {
            let what = "the peer sends more than any response has before its body";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, what)));
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(context, buffer);
        self.meter.count(buffer.filled().len() - before);
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
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
