//! Long work for clients that take no events: its result alone, when it is there.

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use banger_api::{EVENT_DONE, EVENT_ERROR, ErrorBody};
use banger_request::Panicked;
use futures_util::StreamExt;

use super::answer::Refused;

/// Answers a request for long work as its `Accept` says (RFC 9110, section 12.5.1): with the events that the handler sends, or
/// with what the last of them says.
pub(super) async fn as_accepted(request: Request, next: Next) -> Response {
    let is_alone = takes_no_events(request.headers());
    let response = next.run(request).await;
    if is_alone && is_events(&response) {
        outcome(response.into_body()).await.into_response()
    } else {
        response
    }
}

/// Whether a client asks for JSON and not for events. One that takes anything gets events, as ever.
fn takes_no_events(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter();
    let accepted: Vec<&str> = accepted.filter_map(|value| value.to_str().ok()).collect();
    let has = |kind: &str| {
        let mut kinds = accepted.iter().flat_map(|value| value.split(','));
        kinds.any(|part| {
            let named = part.split(';').next().unwrap_or_default().trim();
            named.eq_ignore_ascii_case(kind)
        })
    };
    has("application/json") && !has("text/event-stream")
}

fn is_events(response: &Response) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"))
}

/// Waits for the last event. The work is a part of the body, so a client that leaves drops it here as well.
async fn outcome(body: Body) -> Result<Response, Refused> {
    let mut chunks = body.into_data_stream();
    let mut text = Vec::new();
    while let Some(Ok(chunk)) = chunks.next().await {
        text.extend_from_slice(&chunk);
        while let Some(end) = text.windows(2).position(|pair| pair == b"\n\n") {
            let block: Vec<u8> = text.drain(..end + 2).collect();
            if let Some(outcome) = ending(&String::from_utf8_lossy(&block)) {
                return outcome;
            }
        }
    }
    Err(Panicked("the work").into())
}

/// What an event says of the work's end, if it is the last one. Our events have one line of data.
fn ending(block: &str) -> Option<Result<Response, Refused>> {
    let field = |name: &str| {
        let mut lines = block.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    };
    let data = field("data")?;
    match field("event")? {
        EVENT_DONE => {
            let json = [(header::CONTENT_TYPE, "application/json")];
            Some(Ok((json, data.to_owned()).into_response()))
        }
        EVENT_ERROR => {
            let error: Result<ErrorBody, _> = serde_json::from_str(data);
            Some(Err(
                error.map_or_else(|_| Panicked("the work").into(), Refused::from)
            ))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderValue, StatusCode};
    use http_body_util::BodyExt;

    use super::*;
    use crate::http::events;

    async fn answered(result: Result<u8, ErrorBody>) -> (StatusCode, String) {
        let events = events::respond(|say| async move {
            say.note("one");
            tokio::task::yield_now().await;
            result
        });
        assert!(is_events(&events));
        let response = outcome(events.into_body()).await.into_response();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn the_result_comes_alone_and_an_error_has_its_status() {
        assert_eq!(answered(Ok(3)).await, (StatusCode::OK, "3".to_owned()));
        let missing = r#"{"code": "not_found", "message": "event: done"}"#;
        let missing: ErrorBody = serde_json::from_str(missing).unwrap();
        let (status, body) = answered(Err(missing)).await;
        assert_eq!(status, StatusCode::NOT_FOUND);
        assert!(body.contains("\"not_found\""), "{body}");
    }

    #[test]
    fn only_who_asks_for_json_without_events_waits() {
        let takes = |accept: &str| {
            let mut headers = HeaderMap::new();
            if !accept.is_empty() {
                headers.insert(header::ACCEPT, HeaderValue::from_str(accept).unwrap());
            }
            takes_no_events(&headers)
        };
        for accept in [
            "application/json",
            "text/html, Application/JSON;q=0.9",
            "application/json,*/*",
        ] {
            assert!(takes(accept), "{accept}");
        }
        for accept in [
            "",
            "*/*",
            "text/event-stream",
            "application/json, text/event-stream",
            "application/*",
        ] {
            assert!(!takes(accept), "{accept}");
        }
    }
}
