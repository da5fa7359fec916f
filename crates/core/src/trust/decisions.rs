//! What a client asks of repositories: what one asks of its VM, which are trusted, to trust one, to trust it no more.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use banger_api::{ErrorBody, TrustGrant, TrustRecord, TrustRevoke, Wishes, WishesQuery};
use banger_git::{Error, Repository};
use banger_model::Described;
use banger_request::blocking;
use banger_settings::repository;

use crate::vm::Vms;

/// The top of the repository around a path, if there is one.
fn top_of(path: &Path) -> Result<Option<PathBuf>, ErrorBody> {
    match Repository::around(path) {
        Ok(repository) => Ok(Some(repository.root)),
        Err(Error::NoRepository(_)) => Ok(None),
        Err(error) => Err(error).described(),
    }
}

impl Vms {
    /// What the repository around a path asks of its VM.
    pub async fn wishes(&self, query: WishesQuery) -> Result<Wishes, ErrorBody> {
        let context = Arc::clone(self.context());
        blocking("reading a repository configuration", move || {
            let config = context.config().described()?;
            let mut wishes = match top_of(&query.path)? {
                Some(top) => repository::wishes(&top, &config.ceilings()).described()?,
                None => Wishes::default(),
            };
            if let Some(wished) = &mut wishes.image {
                super::asking::look_up(&context.images.list().described()?, wished);
            }
            if let (Some(root), Some(digest)) = (&wishes.root, &wishes.digest) {
                wishes.trusted = super::is_trusted(&context.database, root, digest).described()?;
            }
            wishes.default_net = config.default_net;
            wishes.needs_trust = super::asking::needs_trust(&wishes, &query);
            Ok::<_, ErrorBody>(wishes)
        })
        .await
    }

    /// All configurations of repositories that are trusted.
    pub async fn trusted(&self) -> Result<Vec<TrustRecord>, ErrorBody> {
        let context = Arc::clone(self.context());
        blocking("reading the trusted repositories", move || {
            super::list(&context.database)
        })
        .await
    }

    /// Trusts the configuration of a repository.
    pub async fn trust(&self, grant: TrustGrant) -> Result<TrustRecord, ErrorBody> {
        let context = Arc::clone(self.context());
        blocking("trusting a repository", move || {
            let ceilings = context.config().described()?.ceilings();
            let top = top_of(&grant.path)?.unwrap_or(grant.path);
            super::grant(&context.database, &ceilings, &top, grant.digest.as_deref()).described()
        })
        .await
    }

    /// Takes trust back; gives from what.
    pub async fn distrust(&self, revoke: TrustRevoke) -> Result<Vec<TrustRecord>, ErrorBody> {
        let context = Arc::clone(self.context());
        blocking("removing a trusted repository", move || {
            // A repository that is gone is named by the path it had.
            let top = |path: PathBuf| Repository::around(&path).map_or(path, |found| found.root);
            let path = revoke.path.map(top);
            super::revoke(&context.database, path.as_deref())
        })
        .await
    }
}
