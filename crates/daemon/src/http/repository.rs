//! What a repository asks of its VM, and whether its user trusts it, over HTTP.

use axum::Json;
use axum::extract::State;
use banger_api::{TrustGrant, TrustRecord, TrustRevoke, Wishes, WishesQuery};

use super::App;
use super::answer::{Body, Refused};

pub(crate) async fn wishes(
    State(app): State<App>,
    Body(query): Body<WishesQuery>,
) -> Result<Json<Wishes>, Refused> {
    Ok(Json(app.vms.wishes(query).await?))
}

pub(crate) async fn list(State(app): State<App>) -> Result<Json<Vec<TrustRecord>>, Refused> {
    Ok(Json(app.vms.trusted().await?))
}

pub(crate) async fn grant(
    State(app): State<App>,
    Body(grant): Body<TrustGrant>,
) -> Result<Json<TrustRecord>, Refused> {
    Ok(Json(app.vms.trust(grant).await?))
}

pub(crate) async fn revoke(
    State(app): State<App>,
    Body(revoke): Body<TrustRevoke>,
) -> Result<Json<Vec<TrustRecord>>, Refused> {
    Ok(Json(app.vms.distrust(revoke).await?))
}
