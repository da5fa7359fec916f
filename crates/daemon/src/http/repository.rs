//! What a repository asks of its VM, over HTTP.

use axum::Json;
use banger_api::{Wishes, WishesQuery};

use super::answer::{Body, Refused, blocking};
use crate::{repository, workspace};

pub(crate) async fn wishes(Body(query): Body<WishesQuery>) -> Result<Json<Wishes>, Refused> {
    let wishes = blocking("reading a repository's wishes", move || {
        match workspace::top_of(&query.path) {
            Ok(top) => Ok::<_, Refused>(repository::wishes(&top)?),
            Err(workspace::Error::Repository(banger_git::Error::NoRepository(_))) => Ok(Wishes::default()),
            Err(error) => Err(error.into()),
        }
    });
    Ok(Json(wishes.await?))
}
