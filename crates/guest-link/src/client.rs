//! HTTP/1.1 with an agent, one connection a request.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use banger_guest_api::{CLOCK_HEADER, Clock, Failure};
use banger_hostsys::clock::now;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::budget::{self, Budget};
use crate::dial::Dial;
use crate::error::Error;
use crate::metered::Metered;
use crate::stream::AgentStream;

/// The body of a request to the agent.
pub type RequestBody = BoxBody<Bytes, std::io::Error>;

/// The most of a response that is read ahead, its head included, and the most headers.
const MOST_BUFFERED: usize = 64 << 10;
const MOST_HEADERS: usize = 32;

/// Asks one agent.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    way: Arc<dyn Dial>,
}

impl Client {
    /// Asks the agent at the end of `way`.
    pub(crate) fn new(way: Arc<dyn Dial>) -> Self {
        Self { way }
    }

    /// The connection that a request asks for, which speaks `protocol`.
    pub(crate) async fn stream(
        &self,
        asked: &'static str,
        mut request: Request<RequestBody>,
        protocol: &'static str,
    ) -> Result<AgentStream, Error> {
        let headers = request.headers_mut();
        headers.insert(header::CONNECTION, header::HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, header::HeaderValue::from_static(protocol));
        let response = self.send(asked, request).await?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            let status = response.status();
            return Err(Error::NoUpgrade { asked, status });
        }
        let upgraded = hyper::upgrade::on(response).await;
        stream_of(asked, upgraded.map_err(|source| Error::Http { asked, source })?)
    }

    /// A usual answer.
    pub(crate) async fn answer<T: DeserializeOwned>(
        &self,
        asked: &'static str,
        request: Request<RequestBody>,
    ) -> Result<T, Error> {
        Ok(self.long_answer(asked, request, Budget::USUAL).await?.0)
    }

    /// An answer within a budget, and how many bytes it has.
    pub(crate) async fn long_answer<T: DeserializeOwned>(
        &self,
        asked: &'static str,
        request: Request<RequestBody>,
        budget: Budget,
    ) -> Result<(T, usize), Error> {
        let response = self.send(asked, request).await?;
        let body = collect(asked, response, budget.bytes).await?;
        let answer = budget::decode(&body, budget).map_err(|source| Error::Answer { asked, source })?;
        Ok((answer, body.len()))
    }

    /// Sends a request and gives the response, unless it is a refusal.
    pub(crate) async fn send(
        &self,
        asked: &'static str,
        mut request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, Error> {
        let stream = self.way.dial().await;
        let stream = stream.map_err(|source| Error::Dial { asked, source })?;
        let http = |source| Error::Http { asked, source };
        let (stream, responded) = Metered::new(stream);
        let mut client = http1::Builder::new();
        client.max_buf_size(MOST_BUFFERED).max_headers(MOST_HEADERS);
        let (mut sender, connection) = client.handshake(TokioIo::new(stream)).await.map_err(http)?;
        // The connection lives as long as its request, response and upgrade do; its errors come out of those.
        tokio::spawn(connection.with_upgrades());
        let headers = request.headers_mut();
        headers.insert(header::HOST, header::HeaderValue::from_static("guest"));
        let clock = header::HeaderValue::try_from(Clock::since_epoch(now()).to_string());
        headers.insert(CLOCK_HEADER, clock.expect("digits and a dot"));
        let response = sender.send_request(request).await.map_err(http)?;
        responded.store(true, Ordering::Relaxed);
        let status = response.status();
        if !status.is_client_error() && !status.is_server_error() {
            return Ok(response);
        }
        if status == StatusCode::NOT_FOUND {
            return Err(Error::TooOld { asked });
        }
        // Of one that is too long, the status counts.
        let body = collect(asked, response, Budget::SMALL.bytes)
            .await
            .unwrap_or_default();
        let failure = budget::decode::<Failure>(&body, Budget::SMALL).unwrap_or_else(|_| {
            let answer = String::from_utf8_lossy(&body[..body.len().min(512)]);
            Failure::new(format!("{status}: {answer}"))
        });
        Err(Error::Refused {
            asked,
            status,
            source: Box::new(failure.into()),
        })
    }
}

/// The connection itself.
fn stream_of(asked: &'static str, upgraded: Upgraded) -> Result<AgentStream, Error> {
    let parts = upgraded.downcast::<TokioIo<Metered>>();
    let parts = parts.map_err(|_| Error::Ended { asked })?;
    Ok(AgentStream {
        stream: parts.io.into_inner().into_inner(),
        sent: parts.read_buf,
    })
}

/// The whole of an answer, which has at most so many bytes: a guest does not decide how much memory the host takes.
async fn collect(asked: &'static str, response: Response<Incoming>, most: usize) -> Result<Vec<u8>, Error> {
    let mut body = response.into_body();
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|source| Error::Http { asked, source })?;
        let Ok(data) = frame.into_data() else { continue };
        if data.len() > most - bytes.len() {
            return Err(Error::TooLong { asked, most });
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

/// A request with a JSON body.
pub(crate) fn json<T: Serialize>(method: Method, path: &str, body: &T) -> Request<RequestBody> {
    let bytes = serde_json::to_vec(body).expect("messages have only string keys");
    Request::builder()
        .method(method)
        .uri(path)
        .header(header::CONTENT_TYPE, "application/json")
        .body(whole(Bytes::from(bytes)))
        .expect("a constant request")
}

/// A request without a body.
pub(crate) fn bare(method: Method, path: &str) -> Request<RequestBody> {
    Request::builder()
        .method(method)
        .uri(path)
        .body(whole(Bytes::new()))
        .expect("a path that is encoded")
}

/// A body that is there already.
pub(crate) fn whole(bytes: Bytes) -> RequestBody {
    Full::new(bytes).map_err(|never| match never {}).boxed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_trait::async_trait;
    use banger_model::{Describe, chain};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixStream;

    use crate::dial::Unreachable;

    /// An agent that answers everything alike.
    #[derive(Debug)]
    struct Answers(String);

    #[async_trait]
    impl Dial for Answers {
        async fn dial(&self) -> Result<UnixStream, Unreachable> {
            let (ours, mut theirs) = UnixStream::pair()?;
            let answer = self.0.clone();
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(theirs.read_u8().await?);
                }
                theirs.write_all(answer.as_bytes()).await
            });
            Ok(ours)
        }
    }

    async fn asked(answer: String) -> Result<Vec<String>, Error> {
        let client = Client::new(Arc::new(Answers(answer)));
        client.answer("list", bare(Method::GET, "/v1/list")).await
    }

    fn response(status: &str, body: &str) -> String {
        format!(
            "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    #[tokio::test]
    async fn a_refusal_is_in_the_words_of_the_agent() {
        let body = r#"{"message":"it is taken","causes":["by a","who has b"]}"#;
        let refused = asked(response("409 Conflict", body)).await.unwrap_err();
        assert_eq!(
            chain(&refused),
            "the guest could not list: it is taken: by a: who has b"
        );
        assert_eq!(refused.code(), banger_model::ErrorCode::InUse);
        let unknown = asked(response("404 Not Found", "")).await.unwrap_err();
        assert!(matches!(unknown, Error::TooOld { asked: "list" }));
    }

    #[tokio::test]
    async fn an_answer_is_bounded_before_it_is_read() {
        let right = asked(response("200 OK", r#"["a"]"#)).await;
        assert_eq!(right.unwrap(), ["a"]);
        let long = asked(response("200 OK", &"x".repeat(Budget::USUAL.bytes + 1))).await;
        assert!(matches!(long, Err(Error::TooLong { .. })));
        let endless = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(20_000);
        assert!(matches!(asked(endless).await, Err(Error::Http { .. })));
    }

    #[tokio::test]
    async fn an_agent_that_does_not_switch_is_of_another_version() {
        let client = Client::new(Arc::new(Answers(response("200 OK", ""))));
        let stream = client
            .stream("run", bare(Method::POST, "/v1/exec"), "stdio_mux_v1")
            .await;
        let error = stream.map(drop).unwrap_err();
        assert_eq!(error.code(), banger_model::ErrorCode::VersionMismatch);
    }
}
