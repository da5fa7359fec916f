//! Files of a guest: a client gets a connection to the agent, and what is copied is not looked at here.

use banger_api::ErrorBody;
use banger_api::stream::{FilesDone, routes};
use banger_guest_link::AgentStream;
use bytes::Bytes;
use http::Method;

use super::of_guest;
use crate::vm::Vms;

/// What is done with files over a connection of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileTransfer {
    /// Files go into the guest.
    Put,
    /// Files come out of it.
    Get,
    /// Their names come out of it.
    List,
}

impl Vms {
    /// A connection to the agent on which files go, as the query says.
    pub async fn files(
        &self,
        name: &str,
        transfer: FileTransfer,
        query: &str,
    ) -> Result<AgentStream, ErrorBody> {
        let (handle, guest) = self.running(name)?;
        let (asked, method, route) = match transfer {
            FileTransfer::Put => ("copy files", Method::PUT, routes::FILES),
            FileTransfer::Get => ("copy files", Method::GET, routes::FILES),
            FileTransfer::List => ("list files", Method::GET, routes::FILES_LIST),
        };
        let agent = guest.files(asked, method, route, query).await;
        agent.map_err(of_guest(&handle))
    }

    /// Removes files of a guest, by the names of a body.
    pub async fn remove_files(&self, name: &str, query: &str, names: Bytes) -> Result<FilesDone, ErrorBody> {
        let (handle, guest) = self.running(name)?;
        let done = guest.remove_files(query, names).await;
        done.map_err(of_guest(&handle))
    }
}
