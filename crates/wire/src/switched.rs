//! Streams that speak another protocol than HTTP from now on.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http::{HeaderValue, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::body::Body;
use crate::broken::Broken;
use crate::connection::{Peer, Response, send};
use crate::metered::Metered;

/// What a peer makes of a request to switch.
#[derive(Debug)]
pub enum Asked<S> {
    /// It has switched.
    Switched(Switched<S>),
    /// It answers with something else: why it does not, as a rule.
    Answered(Response),
}

/// A stream whose peer has switched. It reads what came with the response, then what comes.
#[derive(Debug)]
pub struct Switched<S> {
    /// The stream that the request went over.
    pub stream: S,
    /// What was read of it before.
    pub sent: Bytes,
}

/// Lets a request ask the peer to speak `protocol`.
pub fn ask_to_switch<B>(request: &mut Request<B>, protocol: &'static str) {
    let headers = request.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static(protocol));
}

/// Sends a request that asks for another protocol, and gives the stream back if the peer speaks that.
///
/// # Errors
/// When the connection breaks.
///
/// # Panics
/// Never: the HTTP client gives back the stream that it was given.
pub async fn switch<S>(stream: S, peer: Peer, request: Request<Body>) -> Result<Asked<S>, Broken>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let response = send(stream, peer, request).await?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(Asked::Answered(response));
    }
    let upgraded = hyper::upgrade::on(response).await?;
    let parts = upgraded.downcast::<TokioIo<Metered<S>>>();
    let parts = parts.expect("the stream that the request was sent over");
    Ok(Asked::Switched(Switched {
        stream: parts.io.into_inner().into_inner(),
        sent: parts.read_buf,
    }))
}

impl<S: AsyncRead + Unpin> AsyncRead for Switched<S> {
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

impl<S: AsyncWrite + Unpin> AsyncWrite for Switched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
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
    use crate::{collect, empty};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    async fn asked(answer: &'static [u8]) -> Asked<tokio::io::DuplexStream> {
        let (ours, mut theirs) = duplex(4096);
        let mut request = Request::get("/").body(empty()).unwrap();
        ask_to_switch(&mut request, "test_v1");
        let peer = tokio::spawn(async move {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                assert!(theirs.read_buf(&mut request).await.unwrap() > 0);
            }
            let text = String::from_utf8(request).unwrap();
            assert!(text.contains("connection: upgrade") && text.contains("upgrade: test_v1"));
            theirs.write_all(answer).await.unwrap();
        });
        let asked = switch(ours, Peer::Hostile, request).await.unwrap();
        peer.await.unwrap();
        asked
    }

    #[tokio::test]
    async fn what_came_with_the_answer_is_read_first() {
        let answer =
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: test_v1\r\n\r\none two";
        let Asked::Switched(mut ours) = asked(answer).await else {
            panic!("it did not switch");
        };
        let mut all = Vec::new();
        let mut few = [0; 3];
        ours.read_exact(&mut few).await.unwrap();
        all.extend(few);
        ours.read_to_end(&mut all).await.unwrap();
        assert_eq!(all, b"one two");
    }

    #[tokio::test]
    async fn why_it_does_not_switch_is_given() {
        let Asked::Answered(response) =
            asked(b"HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nwhy").await
        else {
            panic!("it switched");
        };
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        assert_eq!(collect(response.into_body(), 100).await.unwrap(), b"why");
    }
}
