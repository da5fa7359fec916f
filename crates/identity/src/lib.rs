//! What of its user a guest gets at each start: files of the host's, by `[[file_sync]]`, and whose commits git makes.
//!
//! Nothing goes but by the user's own configuration, or by what is there without one; never because of what a repository or
//! an image says. What does not go is told and fails no start.
//!
//! A guest gets it by the trait [`Guest`](banger_guest_link::Guest). Whether a VM is given any of it is decided by who starts it: a
//! repository that is not trusted, or `--no-identity`, means that nothing here is called.

mod bring;
mod entry;
mod git;
mod host;

pub use bring::{Wanted, bring};
pub use entry::FileSync;
pub use git::git_identity;
