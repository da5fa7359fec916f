//! An archive as files, below one directory and never outside it.
//!
//! Whoever wrote the archive is not trusted: a guest's may be hostile. Every name is followed part by part from the
//! directory, through no symbolic link, not even one of the directory's own; `..` and absolute names are refused. A file
//! is written without a name, or under a name of its own, and gets its name when it is whole. Unless all shall be kept as
//! it is, nothing becomes set-user-id, a device or another owner's. Of an archive that is not its user's own, no link leads out
//! of what is copied ([`Links`]), and the file system is not filled ([`Reserve`](banger_hostfs::Reserve)).
//!
//! ```text
//!   entries ──> names: expected? renamed? ──> place: the open directories down to it ──> file: made, named
//! ```

mod destination;
mod error;
mod fresh;
mod links;
mod place;
mod remove;
mod terms;
mod work;

use std::io::Read;

use self::work::Work;
use crate::read;

pub use self::destination::{Destination, DestinationError, LastLink};
pub use self::error::UnpackError;
pub use self::links::Links;
pub use self::remove::remove;
pub use self::terms::{Unpacked, Unpacking};

/// Unpacks the archive `tar` at a destination. `told` gets the bytes of content so far.
///
/// # Errors
/// When the archive is no good, leads out, or files cannot be made; what was made before stays, each file whole.
pub fn unpack(
    tar: impl Read,
    to: Destination,
    unpacking: &Unpacking,
    told: &mut dyn FnMut(u64),
) -> Result<Unpacked, UnpackError> {
    let mut work = Work::new(to, unpacking, told);
    read(tar, &mut |entry, content| work.entry(entry, content))?;
    work.leave_all()?;
    work.tell_links();
    Ok(work.done)
}
