//! Secrets of VMs over HTTP.

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use banger_guest_api::secret::PutSecret;

use super::App;
use super::answer::{BadRequest, Refused};

pub(crate) async fn put(
    State(app): State<App>,
    Path((name, secret)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    value: Bytes,
) -> Result<StatusCode, Refused> {
    let secret = secret.parse().map_err(BadRequest::Secret)?;
    let put = PutSecret::parse(&query.unwrap_or_default()).map_err(BadRequest::SecretQuery)?;
    app.vms.put_secret(&name, secret, put, value).await?;
    Ok(StatusCode::NO_CONTENT)
}
