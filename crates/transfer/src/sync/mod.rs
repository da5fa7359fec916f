//! One way from a tree of this host to a directory of a guest: a pass sends what differs, and then changes go as the kernel
//! tells them.
//!
//! ```text
//!   pass:   walk (and watch) ─┐
//!           the guest's list  ─┴─> differing, and too many ──> push ──> remove
//!   change: paths ──> look again ──> there, or not ─────────> push ──> remove
//!           queue overflowed, or what is ignored has changed ──> pass
//!   the way to the guest is another one ───────────────────────> pass
//! ```

mod ignored;
mod names;
mod spec;
mod syncing;
mod walk;
mod watch;

pub use spec::{Event, Extent, Sync};
pub use syncing::Syncing;
