//! What the work for one request has, wherever in the daemon it is done: the request's id ([`RequestId`]), who is told of its
//! progress ([`Reporter`]), and threads for what blocks ([`blocking`](blocking())), which work under the same id and for the
//! same caller. [`nearest`] is what was probably meant by a word that nothing has for a name.
//!
//! It knows no service, and nothing of HTTP: the server says under which id a request is done, and sends what is reported.

mod blocking;
mod id;
mod near;
mod progress;

pub use blocking::{Panicked, blocking};
pub use id::RequestId;
pub use near::nearest;
pub use progress::Reporter;
