//! The routes of a guest's files as methods. What comes of them goes over a connection to the guest's agent, which the daemon hands over:
//! what is copied passes no process but this one and the VMM. Such a connection blocks; it is for threads.

use banger_api::routes::{CopyFilesIn, CopyFilesOut, ListFiles, RemoveFiles};
use banger_guest_api::{FilesDone, GetFiles, OfDirectory, PutFiles};
use banger_wire::files::{GetStream, Listing, PutStream};

use crate::call::At;
use crate::client::Client;
use crate::error::ClientError;

type Result<T> = std::result::Result<T, ClientError>;

#[expect(
    clippy::missing_errors_doc,
    reason = "the same for all of them: `ClientError`, with `Api` when the daemon or the guest refuses"
)]
impl Client {
    /// Copies a tar into a VM.
    pub async fn put_files(&self, name: &str, put: &PutFiles) -> Result<PutStream> {
        let handed = self.handed(CopyFilesIn.at([name]).query(put)).await?;
        Ok(PutStream::on(handed))
    }

    /// Copies files out of a VM, as a tar.
    pub async fn get_files(&self, name: &str, get: &GetFiles) -> Result<GetStream> {
        let handed = self.handed(CopyFilesOut.at([name]).query(get)).await?;
        Ok(GetStream::on(handed))
    }

    /// What is in a directory of a VM.
    pub async fn list_files(&self, name: &str, of: &OfDirectory) -> Result<Listing> {
        let handed = self.handed(ListFiles.at([name]).query(of)).await?;
        Ok(Listing::on(handed))
    }

    /// Removes files of a VM: paths below a directory, each ended by a NUL.
    pub async fn remove_files(&self, name: &str, of: &OfDirectory, names: Vec<u8>) -> Result<FilesDone> {
        self.value(RemoveFiles.at([name]).query(of).bytes(names)).await
    }
}
