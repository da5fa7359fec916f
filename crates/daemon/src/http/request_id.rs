//! Every request has an id, made by who asks (the header `x-request-id`) or here: it is in the answer's header, in the body of an
//! error, and in the log lines of what is done for the request.

use axum::extract::Request;
use axum::http::HeaderValue;
use axum::middleware::Next;
use axum::response::Response;
use banger_request::RequestId;

/// The header that has it, of requests and of answers.
const HEADER: &str = "x-request-id";

/// How long an id of a client's may be.
const LONGEST: usize = 64;

/// Has a request answered under its id.
pub(super) async fn identified(request: Request, next: Next) -> Response {
    let id = of_client(&request).unwrap_or_else(made_here);
    let span =
        tracing::info_span!("request", id = %id, method = %request.method(), path = %request.uri().path());
    let header = HeaderValue::from_str(&id);
    let mut response = RequestId::new(id, span).scoped(next.run(request)).await;
    if let Ok(id) = header {
        response.headers_mut().insert(HEADER, id);
    }
    response
}

/// The client's own id, if it is one that can be in a log line as it is.
fn of_client(request: &Request) -> Option<String> {
    let id = request.headers().get(HEADER)?.to_str().ok()?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let is_id = !id.is_empty() && id.len() <= LONGEST && id.bytes().all(is_plain);
    is_id.then(|| id.to_owned())
}

fn made_here() -> String {
    // Without randomness, an id that is the same as others says less and breaks nothing.
    banger_hostsys::random::hex::<8>().unwrap_or_else(|_| "unknown".to_owned())
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::extract::FromRequest;
    use axum::routing::get;
    use banger_api::ErrorBody;
    use banger_request::blocking;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{UnixListener, UnixStream};

    use super::*;
    use crate::http::{no_route, respond};

    /// The id in the header of an answer, and what the answer says.
    async fn asked(path: &str, id: Option<&str>) -> (String, String) {
        let fails = || async { respond(|_| async { blocking("fail", || Err::<(), _>(refused())).await }) };
        let named = async |_: axum::extract::Path<String>| "";
        let router: Router = Router::new()
            .route("/events", get(fails))
            .route("/named/{name}", get(named))
            .fallback(no_route)
            .layer(axum::middleware::from_fn(crate::http::answer::described))
            .layer(axum::middleware::from_fn(identified));
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join("socket")).unwrap();
        let server = tokio::spawn(async move { axum::serve(listener, router).await });
        let mut stream = UnixStream::connect(dir.path().join("socket")).await.unwrap();
        let id = id.map(|id| format!("X-Request-Id: {id}\r\n")).unwrap_or_default();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{id}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        server.abort();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let header = head.lines().find_map(|line| line.strip_prefix("x-request-id: "));
        (header.unwrap().to_owned(), body.to_owned())
    }

    fn refused() -> ErrorBody {
        serde_json::from_str(r#"{"code": "internal", "message": "m"}"#).unwrap()
    }

    fn in_body(text: &str) -> Option<String> {
        let json = text.lines().find_map(|line| line.strip_prefix("data: "));
        let json = json.unwrap_or(text.trim());
        serde_json::from_str::<ErrorBody>(json)
            .unwrap()
            .request_id
            .map(String::from)
    }

    #[tokio::test]
    async fn every_refusal_has_the_body_of_an_error() {
        for (text, is_object) in [("[]", false), (" [{}]", false), ("{}", true), ("", true)] {
            let request = axum::extract::Request::new(Body::from(text));
            let parsed = crate::http::answer::Body::<serde_json::Value>::from_request(request, &()).await;
            assert_eq!(parsed.is_ok(), is_object, "{text}");
        }
        for (path, expected) in [
            ("/named/%ff", "Invalid UTF-8"),
            ("/named/", "has an empty name"),
            ("/named//a", "has an empty name"),
            ("/none", "has no GET /none"),
        ] {
            let (_, body) = asked(path, None).await;
            let error: ErrorBody = serde_json::from_str(&body).unwrap();
            assert!(
                error.message.contains(expected) && error.request_id.is_some(),
                "{path}: {body}"
            );
        }
    }

    #[tokio::test]
    async fn an_error_has_the_id_of_its_request() {
        for path in ["/none", "/events"] {
            let (header, body) = asked(path, Some("mine-1")).await;
            assert_eq!(
                (header.as_str(), in_body(&body).as_deref()),
                ("mine-1", Some("mine-1")),
                "{path}"
            );
            let (header, body) = asked(path, None).await;
            assert_eq!(in_body(&body), Some(header.clone()));
            assert_eq!(header.len(), 16);
        }
    }

    #[tokio::test]
    async fn what_is_no_id_is_replaced() {
        for id in ["", "a b", "x\u{7f}", &"x".repeat(LONGEST + 1), "a\"b"] {
            let request = Request::builder().uri("/none");
            let Ok(request) = request.header(HEADER, id).body(Body::empty()) else {
                continue;
            };
            assert_eq!(of_client(&request), None, "{id:?}");
        }
    }
}
