//! Requests over a stream, and their responses.

use http::Request;
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::body::Body;
use crate::broken::Broken;
use crate::metered::{Meter, Metered};

/// A response whose body comes.
pub type Response = http::Response<Incoming>;

/// How far a peer is trusted with this side's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// A program of ours: the bounds that every HTTP client has.
    Ours,
    /// What a guest may have taken over: tight bounds on heads and on what is read ahead.
    Hostile,
}

/// The most of a hostile peer's response that is read ahead, its head included, and the most headers.
const MOST_BUFFERED: usize = 64 << 10;
const MOST_HEADERS: usize = 32;

/// A connection for requests, one after the other. A request whose future is dropped is cut off.
#[derive(Debug)]
pub struct Connection {
    sender: SendRequest<Body>,
    meter: Meter,
}

impl Connection {
    /// Speaks HTTP over `stream` from now on.
    ///
    /// # Errors
    /// When the stream is closed.
    pub async fn open<S>(stream: S, peer: Peer) -> Result<Self, Broken>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (stream, meter) = Metered::new(stream);
        let mut client = Builder::new();
        if peer == Peer::Hostile {
            client.max_buf_size(MOST_BUFFERED).max_headers(MOST_HEADERS);
        }
        let (sender, connection) = client.handshake(TokioIo::new(stream)).await?;
        // It lives as long as its requests, their responses and upgrades do; its errors come out of those.
        tokio::spawn(connection.with_upgrades());
        Ok(Self { sender, meter })
    }

    /// Sends a request. The response to the one before has been read to its end.
    ///
    /// # Errors
    /// When the connection breaks, or the peer sends more than a response has before its body.
    pub async fn send(&mut self, request: Request<Body>) -> Result<Response, Broken> {
        self.meter.begin();
        let response = self.sender.send_request(request).await?;
        self.meter.end();
        Ok(response)
    }
}

/// Sends the one request of a connection, which is closed when the response is dropped.
///
/// # Errors
/// As [`Connection::open`] and [`Connection::send`].
pub async fn send<S>(stream: S, peer: Peer, request: Request<Body>) -> Result<Response, Broken>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    Connection::open(stream, peer).await?.send(request).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{collect, empty, next_chunk};
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    /// A peer that answers requests with these words, one after the other, and then says nothing more.
    fn peer(answers: Vec<Vec<u8>>) -> DuplexStream {
        let (ours, mut theirs) = duplex(4096);
        tokio::spawn(async move {
            for answer in answers {
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    if theirs.read_buf(&mut request).await.unwrap_or(0) == 0 {
                        return;
                    }
                }
                if theirs.write_all(&answer).await.is_err() {
                    return;
                }
            }
            std::future::pending::<()>().await;
        });
        ours
    }

    fn get() -> Request<Body> {
        Request::get("/").body(empty()).unwrap()
    }

    #[tokio::test]
    async fn one_connection_takes_requests_after_each_other() {
        let answer = |text: &str| format!("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{text}").into_bytes();
        let stream = peer(vec![answer("one"), answer("two")]);
        let mut connection = Connection::open(stream, Peer::Hostile).await.unwrap();
        for expected in ["one", "two"] {
            let response = connection.send(get()).await.unwrap();
            assert_eq!(
                collect(response.into_body(), 3).await.unwrap(),
                expected.as_bytes()
            );
        }
    }

    #[tokio::test]
    async fn an_answer_that_is_too_long_is_not_taken() {
        for head in ["Content-Length: 4", "Transfer-Encoding: chunked"] {
            let answer = format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n4\r\nlong\r\n0\r\n\r\n");
            let response = send(peer(vec![answer.into_bytes()]), Peer::Ours, get())
                .await
                .unwrap();
            let failed = collect(response.into_body(), 3).await;
            assert!(
                matches!(failed, Err(crate::CollectError::TooLong(3))),
                "{failed:?}"
            );
        }
    }

    #[tokio::test]
    async fn informational_responses_without_end_are_cut_off() {
        let endless = b"HTTP/1.1 102 Processing\r\n\r\n".repeat(1 << 20);
        let sent = tokio::time::timeout(
            Duration::from_secs(20),
            send(peer(vec![endless]), Peer::Hostile, get()),
        );
        assert!(sent.await.unwrap().is_err());
        banger_cases::refused("budget", "wire.informational");
    }

    #[tokio::test]
    async fn a_hostile_peers_long_head_is_not_taken() {
        let many: String = (0..50).map(|number| format!("a{number}: b\r\n")).collect();
        let long = format!("a: {}\r\n", "x".repeat(100 << 10));
        for (name, headers) in [("headers", many), ("header", long)] {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{headers}\r\n").into_bytes();
            // Of a program of ours, it is taken.
            assert!(
                send(peer(vec![head.clone()]), Peer::Ours, get()).await.is_ok(),
                "{name}"
            );
            assert!(
                send(peer(vec![head]), Peer::Hostile, get()).await.is_err(),
                "{name}"
            );
            banger_cases::refused("budget", &format!("wire.{name}"));
        }
    }

    #[tokio::test]
    async fn a_long_body_is_no_long_head() {
        let body = vec![b'x'; 1 << 20];
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        let stream = peer(vec![[head.as_bytes(), &body].concat()]);
        let mut response = send(stream, Peer::Hostile, get()).await.unwrap().into_body();
        let mut came = 0;
        while let Some(data) = next_chunk(&mut response).await.unwrap() {
            came += data.len();
        }
        assert_eq!(came, body.len());
    }
}
