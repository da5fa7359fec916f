//! The context of one request, for all code of the daemon that works on it: the id of the request ([`RequestId`]), the receiver of its
//! progress ([`Reporter`]), and threads for blocking calls ([`blocking`](blocking())), which have the same id and caller. [`nearest`]
//! finds the name that a misspelled word probably meant.
//!
//! This crate knows no service and nothing of HTTP: the server sets the id and sends the progress.

mod blocking;
mod id;
mod near;
mod progress;

pub use blocking::{Panicked, blocking};
pub use id::RequestId;
pub use near::nearest;
pub use progress::Reporter;
