//! A connection to an agent that speaks another protocol than HTTP from now on.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;

/// Such a connection. It reads what came with the agent's answer, then what comes.
#[derive(Debug)]
pub struct AgentStream {
    /// Its bytes.
    pub stream: UnixStream,
    /// Those that were read before.
    pub sent: Bytes,
}

impl AsyncRead for AgentStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.sent.is_empty() {
            return Pin::new(&mut self.stream).poll_read(context, into);
        }
        let some = self.sent.len().min(into.remaining());
        into.put_slice(&self.sent[..some]);
        self.sent.advance(some);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for AgentStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn what_came_with_the_answer_is_read_first() {
        let (stream, mut agent) = UnixStream::pair().unwrap();
        let mut ours = AgentStream {
            stream,
            sent: Bytes::from_static(b"one "),
        };
        agent.write_all(b"two").await.unwrap();
        drop(agent);
        let mut all = Vec::new();
        let mut few = [0; 3];
        ours.read_exact(&mut few).await.unwrap();
        all.extend(few);
        ours.read_to_end(&mut all).await.unwrap();
        assert_eq!(all, b"one two");
    }
}
