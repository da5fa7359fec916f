//! HTTP/1.1 with an agent, one connection a request.

use std::sync::Arc;

use banger_guest_api::{CLOCK_HEADER, Clock, Failure};
use banger_hostsys::clock::now;
use banger_wire::{Asked, Body, CollectError, Peer, Response, ask_to_switch, empty, switch};
use http::{HeaderValue, Method, Request, StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use crate::budget::{self, Budget};
use crate::dial::Dial;
use crate::error::Error;
use crate::stream::AgentStream;

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
        mut request: Request<Body>,
        protocol: &'static str,
    ) -> Result<AgentStream, Error> {
        ask_to_switch(&mut request, protocol);
        let stream = self.dial(asked, &mut request).await?;
        let switched = switch(stream, Peer::Hostile, request).await;
        match switched.map_err(|source| Error::Http { asked, source })? {
            Asked::Switched(stream) => Ok(stream),
            Asked::Answered(response) => {
                let status = accepted(asked, response).await?.status();
                Err(Error::NoUpgrade { asked, status })
            }
        }
    }

    /// A usual answer.
    pub(crate) async fn answer<T: DeserializeOwned>(
        &self,
        asked: &'static str,
        request: Request<Body>,
    ) -> Result<T, Error> {
        Ok(self.long_answer(asked, request, Budget::USUAL).await?.0)
    }

    /// An answer within a budget, and how many bytes it has.
    pub(crate) async fn long_answer<T: DeserializeOwned>(
        &self,
        asked: &'static str,
        request: Request<Body>,
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
        mut request: Request<Body>,
    ) -> Result<Response, Error> {
        let stream = self.dial(asked, &mut request).await?;
        let response = banger_wire::send(stream, Peer::Hostile, request).await;
        accepted(asked, response.map_err(|source| Error::Http { asked, source })?).await
    }

    /// A connection for a request, which gets what every request says.
    async fn dial(&self, asked: &'static str, request: &mut Request<Body>) -> Result<UnixStream, Error> {
        let headers = request.headers_mut();
        headers.insert(header::HOST, HeaderValue::from_static("guest"));
        let clock = HeaderValue::try_from(Clock::since_epoch(now()).to_string());
        headers.insert(CLOCK_HEADER, clock.expect("digits and a dot"));
        let stream = self.way.dial().await;
        stream.map_err(|source| Error::Dial { asked, source })
    }
}

/// A response, unless it is a refusal.
async fn accepted(asked: &'static str, response: Response) -> Result<Response, Error> {
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

/// The whole of an answer, which has at most so many bytes: a guest does not decide how much memory the host takes.
async fn collect(asked: &'static str, response: Response, most: usize) -> Result<Vec<u8>, Error> {
    let body = banger_wire::collect(response.into_body(), most).await;
    body.map_err(|error| match error {
        CollectError::Broken(source) => Error::Http { asked, source },
        CollectError::TooLong(most) => Error::TooLong { asked, most },
    })
}

/// A request with a JSON body.
pub(crate) fn json<T: Serialize>(method: Method, path: &str, body: &T) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(path)
        .header(header::CONTENT_TYPE, "application/json")
        .body(banger_wire::json(body))
        .expect("a constant request")
}

/// A request without a body.
pub(crate) fn bare(method: Method, path: &str) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(path)
        .body(empty())
        .expect("a path that is encoded")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Answers;
    use banger_model::{Describe, chain};

    async fn asked(answer: String) -> Result<Vec<String>, Error> {
        let client = Client::new(Arc::new(Answers(answer.into_bytes())));
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
            "the guest failed to list: it is taken: by a: who has b"
        );
        assert_eq!(refused.describe().code, banger_model::ErrorCode::InUse);
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
        let client = Client::new(Arc::new(Answers(response("200 OK", "").into_bytes())));
        let stream = client
            .stream("run", bare(Method::POST, "/v1/exec"), "stdio_mux_v1")
            .await;
        let error = stream.map(drop).unwrap_err();
        assert_eq!(error.describe().code, banger_model::ErrorCode::VersionMismatch);
    }
}
