//! Bodies in and errors out.

use axum::Json;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use banger_api::ErrorBody;
use banger_model::{Describe, Description, ErrorCode, body};
use banger_request::RequestId;
use serde::de::DeserializeOwned;

/// A failed request.
#[derive(Debug)]
pub(crate) struct Refused(pub(crate) ErrorBody);

impl<E: Describe> From<E> for Refused {
    fn from(error: E) -> Self {
        Self(body(&error))
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.0.code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut body = self.0;
        body.request_id = RequestId::current().id();
        if body.code == ErrorCode::Internal {
            tracing::error!(error = %body.message, causes = ?body.causes, "a request failed with an internal error");
        }
        (status, Json(body)).into_response()
    }
}

/// A request that is not of this API.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadRequest {
    /// The body is not what the route takes.
    #[error("failed to parse the request's body")]
    Body(#[source] serde_json::Error),
    /// The body is a list.
    #[error("invalid request body: expected a JSON object, not an array")]
    Array,
    /// The body did not come whole.
    #[error("failed to read the request's body")]
    Read(#[source] BytesRejection),
    /// The body of a request for a stream is too long, or did not come whole.
    #[error("failed to read the request's body")]
    Stream(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The query is not what the route takes.
    #[error("failed to parse the request's query")]
    Query(#[source] QueryRejection),
    /// A name in the path breaks the rule of its kind.
    #[error("invalid name in the request")]
    Name(#[source] banger_model::InvalidName),
    /// No secret has this name.
    #[error("invalid secret name in the request")]
    Secret(#[source] banger_guest_api::InvalidSecretName),
    /// A query that a secret does not take.
    #[error("failed to parse the request's query")]
    SecretQuery(#[source] banger_guest_api::query::QueryError),
    /// No such route.
    #[error("this daemon has no {method} {path}")]
    NoRoute { method: Method, path: String },
    /// A name in the path is empty.
    #[error("no object has an empty name, as in `{0}`")]
    NoName(String),
    /// What takes another protocol was asked for without it.
    #[error("this request needs `Upgrade: {0}`")]
    NoUpgrade(String),
    /// What would be cut off.
    #[error("{0} shells, commands or SSH connections run through this daemon and would be closed")]
    Streams(u32),
}

impl Describe for BadRequest {
    fn describe(&self) -> Description {
        match self {
            Self::NoRoute { .. } => Description::hinted(
                ErrorCode::VersionMismatch,
                "client and daemon may have different versions: compare them with `banger version`",
            ),
            // As for any other name that nothing has.
            Self::NoName(_) => ErrorCode::NotFound.into(),
            Self::Streams(_) => Description::hinted(
                ErrorCode::WrongPhase,
                "close them with `banger daemon stop --force`",
            ),
            Self::Body(_)
            | Self::Array
            | Self::Read(_)
            | Self::Stream(_)
            | Self::Query(_)
            | Self::Name(_)
            | Self::Secret(_)
            | Self::SecretQuery(_)
            | Self::NoUpgrade(_) => ErrorCode::InvalidRequest.into(),
        }
    }
}

/// Answers what no route takes.
pub(crate) async fn no_route(method: Method, uri: Uri) -> Refused {
    let path = uri.path().to_owned();
    match path.contains("//") || (path.len() > 1 && path.ends_with('/')) {
        true => BadRequest::NoName(path).into(),
        false => BadRequest::NoRoute { method, path }.into(),
    }
}

/// Gives a refusal of the HTTP library's, which is plain text or nothing, the body that all errors have.
pub(crate) async fn described(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let is_json = |value: &HeaderValue| value.as_bytes().starts_with(b"application/json");
    let is_ours = response.headers().get(CONTENT_TYPE).is_some_and(is_json);
    if !response.status().is_client_error() || is_ours {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let text = axum::body::to_bytes(body, LONGEST_REFUSAL)
        .await
        .unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let words = match text.trim() {
        "" => parts
            .status
            .canonical_reason()
            .unwrap_or("this request is refused"),
        words => words,
    };
    let body = ErrorBody {
        code: ErrorCode::InvalidRequest,
        message: format!("invalid request: {words}"),
        causes: Vec::new(),
        hints: Vec::new(),
        log: None,
        request_id: RequestId::current().id(),
    };
    parts.headers.remove(CONTENT_LENGTH);
    parts.headers.remove(CONTENT_TYPE);
    let (status, headers) = (parts.status, parts.headers);
    (status, headers, Json(body)).into_response()
}

/// Longer than any refusal of the HTTP library's.
const LONGEST_REFUSAL: usize = 64 << 10;

/// A JSON body. An empty one is taken as `{}`, so that `POST` without options needs none.
#[derive(Debug)]
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refused> {
        let bytes = bytes::Bytes::from_request(request, state)
            .await
            .map_err(BadRequest::Read)?;
        let text: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        // An array is as good as an object to serde, field by field, and an empty one would be all defaults.
        if text.trim_ascii_start().first() == Some(&b'[') {
            return Err(BadRequest::Array.into());
        }
        Ok(Self(serde_json::from_slice(text).map_err(BadRequest::Body)?))
    }
}

/// A query string.
#[derive(Debug)]
pub(crate) struct Asked<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refused> {
        let Query(query) = Query::from_request_parts(parts, state)
            .await
            .map_err(BadRequest::Query)?;
        Ok(Self(query))
    }
}

/// A name of the path, as its type.
pub(crate) fn named<T>(text: &str) -> Result<T, Refused>
where
    T: std::str::FromStr<Err = banger_model::InvalidName>,
{
    Ok(text.parse().map_err(BadRequest::Name)?)
}
