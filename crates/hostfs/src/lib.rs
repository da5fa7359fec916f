//! The one module that opens paths for a VM's sake: copies, synchronisation, exports, workspaces and the user's own files.
//!
//! A [`Dir`] is a directory held by its descriptor. All that is done below it names a relative path, which is followed through
//! no symbolic link (`openat2` with `RESOLVE_BENEATH`, `RESOLVE_NO_SYMLINKS` and `RESOLVE_NO_MAGICLINKS`; component by
//! component where a kernel or a filter has no `openat2`). So whoever else writes there, a guest by an earlier copy or a
//! repository's program at this moment, cannot lead a read or a write out of it. What is no regular file is never opened: a
//! named pipe does not make us wait, and a device is not touched.
//!
//! ```text
//!   what the user named ──Dir::open──> Dir ──┬─ look ──> Found: what it is, its target, the file, the directory
//!    (links are the user's)                  ├─ dir, file, read, entries
//!                                            ├─ make_dir, symlink, link, node, rename, remove
//!                                            └─ fresh ──> Fresh: a file without a name until it is whole
//! ```

mod dir;
mod error;
mod found;
mod fresh;
mod named;
mod reserve;
mod resolve;
#[cfg(test)]
mod tests;

pub use self::dir::Dir;
pub use self::error::{Error, Kind};
pub use self::found::Found;
pub use self::fresh::Fresh;
pub use self::named::{Named, within};
pub use self::reserve::Reserve;
