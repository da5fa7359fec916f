//! What is asked of a guest by code that need not run on the guest's host.

use std::fmt;

use async_trait::async_trait;
use banger_guest_api::workspace::{Look, Protect, PutWorkspace, Seen};
use banger_guest_api::{Exec, FilesDone, GetFiles, PutFiles};
use bytes::Bytes;
use futures_util::stream::BoxStream;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::agent::Agent;
use crate::error::Error;

/// Frames of standard input, whole ones, without the empty one that ends them.
pub type Frames<'a> = BoxStream<'a, Bytes>;

/// A connection that speaks `stdio_mux_v1`.
pub type Connection = Box<dyn Duplex>;

/// Bytes in both directions.
pub trait Duplex: AsyncRead + AsyncWrite + fmt::Debug + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + fmt::Debug + Send + Unpin> Duplex for T {}

/// What a guest has of a workspace.
#[derive(Debug)]
pub struct Looked {
    /// What there is.
    pub seen: Seen,
    /// Bytes of the question and its answer.
    pub bytes: u64,
}

/// A guest that runs. A failure says what was asked of it, and in whose words it failed.
///
/// Dropping a future or a connection ends what was asked for.
#[async_trait]
pub trait Guest: fmt::Debug + Send + Sync {
    /// Runs a command. It ends with the connection.
    ///
    /// # Errors
    /// When the guest is not reached. A command that cannot be run is told on the connection.
    async fn exec(&self, exec: &Exec) -> Result<Connection, Error>;

    /// Packs files. The connection brings a tar, and how it ended.
    ///
    /// # Errors
    /// When the guest is not reached. A file that cannot be read is told on the connection.
    async fn get_files(&self, get: &GetFiles) -> Result<Connection, Error>;

    /// Unpacks the tar that `frames` carry.
    ///
    /// # Errors
    /// When the guest is not reached, or does not take all of it.
    async fn put_files(&self, put: &PutFiles, frames: Frames<'_>) -> Result<FilesDone, Error>;

    /// Tells what there is of a workspace.
    ///
    /// # Errors
    /// When the guest is not reached, or cannot look.
    async fn look_at_workspace(&self, look: &Look) -> Result<Looked, Error>;

    /// Changes a workspace by the entries that `frames` carry.
    ///
    /// # Errors
    /// When the guest is not reached, or does not take all of them.
    async fn put_workspace(&self, put: &PutWorkspace, frames: Frames<'_>) -> Result<FilesDone, Error>;

    /// Makes a workspace read-only, or writable again.
    ///
    /// # Errors
    /// When the guest is not reached, or cannot.
    async fn protect_workspace(&self, protect: &Protect) -> Result<(), Error>;
}

#[async_trait]
impl Guest for Agent {
    async fn exec(&self, exec: &Exec) -> Result<Connection, Error> {
        Ok(Box::new(Agent::exec(self, exec).await?))
    }

    async fn get_files(&self, get: &GetFiles) -> Result<Connection, Error> {
        Ok(Box::new(Agent::get_files(self, get).await?))
    }

    async fn put_files(&self, put: &PutFiles, frames: Frames<'_>) -> Result<FilesDone, Error> {
        Agent::put_files(self, put, frames).await
    }

    async fn look_at_workspace(&self, look: &Look) -> Result<Looked, Error> {
        let (seen, bytes) = self.look(look).await?;
        Ok(Looked { seen, bytes })
    }

    async fn put_workspace(&self, put: &PutWorkspace, frames: Frames<'_>) -> Result<FilesDone, Error> {
        self.put_entries(put, frames).await
    }

    async fn protect_workspace(&self, protect: &Protect) -> Result<(), Error> {
        self.protect(protect).await
    }
}
