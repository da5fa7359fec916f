//! The parts of the user's identity that a guest gets at each start: files of the host (`[[file_sync]]`), and the git identity.
//!
//! Only the user's own configuration, or its default, decides what is copied; a repository or an image never does. A file that
//! cannot be copied is reported, and does not fail the start.
//!
//! Files are copied through the trait [`Guest`](banger_guest_link::Guest). The caller decides whether a VM gets an identity: for a
//! repository that is not trusted, or with `--no-identity`, it does not call this crate.

mod bring;
mod entry;
mod git;
mod host;

pub use bring::{Wanted, bring};
pub use entry::FileSync;
pub use git::git_identity;
