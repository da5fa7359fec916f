//! Tar archives: read and written entry by entry ([`mod@format`]), packed from files ([`pack`]) and unpacked into them
//! ([`unpack`]). The guest's agent, the daemon's images and the command line all use this one.

mod attributes;
mod error;
pub mod format;
pub mod machine;
pub mod pack;
pub mod unpack;

pub use error::{EntryFault, Error};
pub use format::{Entry, EntryKind, Writer, read, read_unmarked};

/// An entry's name as text that a terminal can show.
pub fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(name)
        .chars()
        .filter(|c| !c.is_control())
        .take(300)
        .collect()
}
