//! A guest that has workspaces, and one of them there.

use std::sync::Arc;

use banger_guest_api::Exec;
use banger_guest_api::workspace::{Look, Protect, PutWorkspace, Seen};
use banger_guest_link::{Connection, Frames, Guest};

use crate::error::Error;
use crate::guest_error::GuestError;

/// A guest, and whose its workspaces are.
#[derive(Debug, Clone)]
pub struct Target {
    guest: Arc<dyn Guest>,
    owner: Option<Arc<str>>,
}

impl Target {
    /// A guest whose workspaces belong to `owner`, who runs the VM's commands; to root when that is nobody.
    pub fn new(guest: impl Guest + 'static, owner: &str) -> Self {
        Self {
            guest: Arc::new(guest),
            owner: (!owner.is_empty()).then(|| owner.into()),
        }
    }

    /// The workspace in a directory of the guest.
    pub(crate) const fn at<'a>(&'a self, path: &'a str) -> Site<'a> {
        Site { target: self, path }
    }
}

/// A workspace in a guest.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Site<'a> {
    target: &'a Target,
    /// Its directory there.
    pub(crate) path: &'a str,
}

impl Site<'_> {
    /// What the guest has, and how many bytes it took to tell.
    pub(crate) async fn look(
        self,
        generation: Option<&str>,
        probe: Vec<String>,
    ) -> Result<(Seen, u64), Error> {
        let look = Look {
            path: self.path.to_owned(),
            generation: generation.map(str::to_owned),
            probe,
        };
        let looked = self.target.guest.look_at_workspace(&look).await;
        let looked = looked.map_err(|source| self.error("inspect", source))?;
        Ok((looked.seen, looked.bytes))
    }

    /// Sends a stream of entries, in frames.
    pub(crate) async fn put(self, frames: Frames<'_>) -> Result<(), Error> {
        let put = PutWorkspace {
            path: self.path.to_owned(),
            owner: self.target.owner.as_deref().map(str::to_owned),
        };
        let put = self.target.guest.put_workspace(&put, frames).await;
        put.map(drop).map_err(|source| self.error("write", source))
    }

    /// Makes it read-only, or writable again.
    pub(crate) async fn protect(self, readonly: bool) -> Result<(), Error> {
        let protect = Protect {
            path: self.path.to_owned(),
            readonly,
        };
        let protected = self.target.guest.protect_workspace(&protect).await;
        protected.map_err(|source| self.error("protect", source))
    }

    /// Runs a command of its owner's: git trusts nobody else's repository.
    pub(crate) async fn exec(self, argv: Vec<String>, cwd: Option<String>) -> Result<Connection, Error> {
        let exec = Exec {
            argv,
            cwd,
            user: Some(self.target.owner.as_deref().unwrap_or("0").to_owned()),
            ..Exec::default()
        };
        let connection = self.target.guest.exec(&exec).await;
        connection.map_err(|source| self.error("run git at", source))
    }

    /// A failure of its guest to do something.
    fn error(self, what: &'static str, source: banger_guest_link::Error) -> Error {
        let path = self.path.to_owned();
        let source = Box::new(source);
        GuestError::Agent { what, path, source }.into()
    }
}
