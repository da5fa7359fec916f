//! Forwards at work: the host's side of every port that goes through it, over vsock.
//!
//! ```text
//!  client ──▶ publish (tcp, udp): listens here ── Connect ──▶ agent ──▶ the guest's 127.0.0.1
//!  the guest's program ──▶ agent ◀── Listen, Take ── reverse ──▶ this host's 127.0.0.1
//! ```
//!
//! Each connection, or flow of datagrams, is one vsock connection, so the kernels hold back who sends too fast, and what
//! is held here is one buffer in each direction. A [`Running`] belongs to its VM's task; what it does can be seen by its
//! [`Watched`].
//!
//! A forward knows the guest's [`Agent`](banger_guest_link::Agent) and this host's sockets, and neither a VM's record nor who may
//! have which forward: the VM's task begins it, keeps it, and ends it.

mod begin;
mod error;
mod holder;
mod listing;
mod publish;
mod relay;
mod reverse;
mod route;
mod running;
mod socket;
mod table;
mod tcp;
#[cfg(test)]
mod testing;
mod udp;
mod watched;
mod work;

pub use begin::begin;
pub use error::Error;
pub use holder::Holder;
pub use listing::ports;
pub use publish::{probe, refuse_open};
pub use relay::join;
pub use route::Route;
pub use running::Running;
pub use table::Table;
pub use watched::{Declared, Status, Watched};
