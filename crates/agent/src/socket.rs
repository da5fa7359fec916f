//! Stream sockets of any family, because the same server runs on vsock in guests and on Unix sockets in tests.

use std::io::{self, IoSlice, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{Shutdown, SocketFlags, accept_with, shutdown};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};

use crate::peer;

/// How long nothing is accepted after there was no descriptor for it.
const BREATH: Duration = Duration::from_millis(100);

/// A listening socket.
#[derive(Debug)]
pub struct Listener(AsyncFd<OwnedFd>);

impl Listener {
    /// Takes over a listening socket. Call it in the runtime.
    ///
    /// # Errors
    /// When the socket cannot be watched.
    pub fn new(socket: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&socket, true)?;
        watched(socket).map(Self)
    }

    /// The next connection of one who may give orders (`peer`); others are hung up on. When there is no descriptor for it,
    /// it waits until there may be.
    ///
    /// # Errors
    /// When the socket is broken; a connection that broke before it was accepted is not told.
    pub async fn accept(&self) -> io::Result<Socket> {
        loop {
            let accepted = self
                .0
                .async_io(Interest::READABLE, |listener| {
                    accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK).map_err(Into::into)
                })
                .await;
            match accepted {
                // A peer that may not speak is hung up on without a word.
                Ok(socket) if peer::may_give_orders(&socket).unwrap_or(false) => return Socket::new(socket),
                Ok(_) => {}
                // A child's end may interrupt it: an accept on vsock waits for the socket's lock, even where it waits for
                // nothing else.
                Err(error) if is(&error, &[Errno::CONNABORTED, Errno::INTR]) => {}
                Err(error) if is(&error, &[Errno::MFILE, Errno::NFILE]) => tokio::time::sleep(BREATH).await,
                Err(error) => return Err(error),
            }
        }
    }
}

fn is(error: &io::Error, any: &[Errno]) -> bool {
    any.iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// A connection.
#[derive(Debug)]
pub struct Socket(AsyncFd<OwnedFd>);

impl Socket {
    /// Takes over a connected stream socket. Call it in the runtime.
    ///
    /// # Errors
    /// When the socket cannot be watched.
    pub fn new(socket: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&socket, true)?;
        watched(socket).map(Self)
    }

    /// Gives the socket back, to be used without the runtime: it blocks from now on.
    ///
    /// # Errors
    /// When the mode cannot be changed.
    pub fn into_blocking(self) -> io::Result<OwnedFd> {
        let socket = self.0.into_inner();
        rustix::io::ioctl_fionbio(&socket, false)?;
        Ok(socket)
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.get_ref().as_fd()
    }
}

fn watched(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is one open description for as long as it lives, and the `AsyncFd` owns it.
    unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE | Interest::WRITABLE) }
        .map_err(Into::into)
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut ready = ready!(self.0.poll_read_ready(context))?;
            let unfilled = buffer.initialize_unfilled();
            match ready.try_io(|socket| rustix::io::read(socket, &mut *unfilled).map_err(Into::into)) {
                Ok(Ok(read)) => {
                    buffer.advance(read);
                    return Poll::Ready(Ok(()));
                }
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(Err(error)) => return Poll::Ready(Err(error)),
                Err(_not_ready) => {}
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let mut ready = ready!(self.0.poll_write_ready(context))?;
            match ready.try_io(|socket| rustix::io::write(socket, bytes).map_err(Into::into)) {
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(result) => return Poll::Ready(result),
                Err(_not_ready) => {}
            }
        }
    }

    // So that hyper hands over bodies as they are, instead of copying them behind its headers.
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            let mut ready = ready!(self.0.poll_write_ready(context))?;
            match ready.try_io(|socket| rustix::io::writev(socket, bytes).map_err(Into::into)) {
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(result) => return Poll::Ready(result),
                Err(_not_ready) => {}
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(match shutdown(self.0.get_ref(), Shutdown::Write) {
            // The peer was faster.
            Ok(()) | Err(Errno::NOTCONN) => Ok(()),
            Err(error) => Err(error.into()),
        })
    }
}

/// A connection that blocks, for reading and writing from several threads.
#[derive(Debug)]
pub(crate) struct Blocking(pub(crate) OwnedFd);

impl Blocking {
    /// Tells the peer that nothing more comes.
    pub(crate) fn end(&self) {
        let _ = shutdown(&self.0, Shutdown::Write);
    }
}

impl AsFd for Blocking {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Read for &Blocking {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::read(&self.0, buffer)?)
    }
}

impl Write for &Blocking {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::write(&self.0, bytes)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
