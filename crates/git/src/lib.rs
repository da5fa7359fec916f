//! Git on repositories that others may have made: a downloaded archive may bring its own `.git`, and whoever made it decides
//! what is in there. So git never reads a repository's own configuration, and follows no link in its directory.
//!
//! ```text
//!  Repository::around(path)    finds work tree and git directory, and refuses what leads elsewhere (find.rs)
//!  View::of(&repository, …)    a git directory of ours: a configuration of plain data, copies of small files, and links of
//!                              ours to objects and references in which no link of theirs was found (view.rs)
//!  view.git()                  git with an environment that we build, as a child with limits (run.rs)
//! ```
//!
//! | of the repository | here |
//! |---|---|
//! | a key that names a program, a file or another key | not taken: `settings.rs` lists the ones that are, all plain data |
//! | hooks | none is found: `core.hooksPath` is `/dev/null`, and our git directory has none |
//! | attributes | taken; a filter or merge driver that they name is the user's own, from the global configuration, or none |
//! | links in the git directory, alternates, `commondir`, `core.worktree` | refused or not heeded |
//! | a pipe or device where git opens a file by its name | git is ended, and the path is named (`waits.rs`) |
//! | a `.git` file | taken when the directory that it names records this work tree |

mod beneath;
mod environment;
mod error;
mod find;
mod protected;
mod run;
mod settings;
mod sound;
mod view;
mod waits;

pub use banger_confined::Limits;

pub use self::beneath::Dir;
pub use self::environment::of_callers;
pub use self::error::Error;
pub use self::find::Repository;
pub use self::protected::is_git_name;
pub use self::run::{Git, OWN, PACKING, records};
pub use self::settings::{IDENTITY, Setting, of_user, write};
pub use self::view::View;
