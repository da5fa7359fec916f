//! What this crate needs of a guest.

use banger_guest_api::{FilesDone, OfDirectory, PutFiles};
use banger_wire::files::{Listing, PutStream};

use crate::error::Error;

/// A guest whose files are read and written, by whatever way leads to it.
pub trait GuestFiles {
    /// Why something could not be done: what is this crate's, and what is of the way to the guest.
    type Error: From<Error>;

    /// Begins to send a tar.
    fn put_files(&self, put: &PutFiles) -> impl Future<Output = Result<PutStream, Self::Error>>;

    /// What is in a directory.
    fn list_files(&self, of: &OfDirectory) -> impl Future<Output = Result<Listing, Self::Error>>;

    /// Removes files: paths below a directory, each ended by a NUL.
    fn remove_files(
        &self,
        of: &OfDirectory,
        names: Vec<u8>,
    ) -> impl Future<Output = Result<FilesDone, Self::Error>>;

    /// Looks for the way again after something failed. Says whether it is another one now, so that what failed may be tried again.
    fn look_again(&mut self) -> impl Future<Output = Result<bool, Self::Error>>;
}
