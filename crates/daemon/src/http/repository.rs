//! What a repository asks of its VM, and whether its user trusts it, over HTTP.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use banger_api::{TrustGrant, TrustRecord, TrustRevoke, Wishes, WishesQuery};

use super::App;
use super::answer::{Body, Refused, blocking};
use crate::repository::{self, trust};
use crate::workspace;

/// The top of the repository around a path, if there is one.
fn top_of(path: &Path) -> Result<Option<PathBuf>, Refused> {
    match workspace::top_of(path) {
        Ok(top) => Ok(Some(top)),
        Err(workspace::Error::Repository(banger_git::Error::NoRepository(_))) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

pub(crate) async fn wishes(
    State(app): State<App>,
    Body(query): Body<WishesQuery>,
) -> Result<Json<Wishes>, Refused> {
    let context = Arc::clone(app.vms.context());
    let wishes = blocking("reading a repository's wishes", move || {
        let config = context.config()?;
        let mut wishes = match top_of(&query.path)? {
            Some(top) => repository::wishes(&top, &config.ceilings())?,
            None => Wishes::default(),
        };
        if let (Some(root), Some(digest)) = (&wishes.root, &wishes.digest) {
            wishes.trusted = trust::is_trusted(&context.database, root, digest)?;
        }
        wishes.default_net = config.default_net;
        Ok::<_, Refused>(wishes)
    });
    Ok(Json(wishes.await?))
}

pub(crate) async fn list(State(app): State<App>) -> Result<Json<Vec<TrustRecord>>, Refused> {
    let context = Arc::clone(app.vms.context());
    let work = move || trust::list(&context.database);
    Ok(Json(blocking("reading what is trusted", work).await?))
}

pub(crate) async fn grant(
    State(app): State<App>,
    Body(grant): Body<TrustGrant>,
) -> Result<Json<TrustRecord>, Refused> {
    let context = Arc::clone(app.vms.context());
    let granted = blocking("trusting a repository", move || {
        let ceilings = context.config()?.ceilings();
        let top = top_of(&grant.path)?.unwrap_or(grant.path);
        Ok::<_, Refused>(trust::grant(
            &context.database,
            &ceilings,
            &top,
            grant.digest.as_deref(),
        )?)
    });
    Ok(Json(granted.await?))
}

pub(crate) async fn revoke(
    State(app): State<App>,
    Body(revoke): Body<TrustRevoke>,
) -> Result<Json<Vec<TrustRecord>>, Refused> {
    let context = Arc::clone(app.vms.context());
    let revoked = blocking("taking trust back", move || {
        // A repository that is gone is named by the path it had.
        let path = revoke.path.map(|path| match workspace::top_of(&path) {
            Ok(top) => top,
            Err(_) => path,
        });
        trust::revoke(&context.database, path.as_deref())
    });
    Ok(Json(revoked.await?))
}
