//! The resolver of a user's VMs and of their host.
//!
//! ```text
//!            a datagram, or a message of a TCP connection
//!  server/ ── who asks (Oracle::asker), is there a place (places) ──▶ drop
//!     │
//!  request ── is it a question ──▶ FORMERR, NOTIMP, BADVERS
//!     │
//!  resolver ─┬─ zone      NAME.vm and its reverse, as far as the asker may see
//!            ├─ policy    may this VM ask for that name ──▶ REFUSED
//!            └─ forward ── cache ── one flight a question ── upstream/
//!                  │
//!               sift      what a VM is given of the answer; its addresses to Oracle::learned, and only then
//!     │
//!  reply ─── to the size that the asker takes
//! ```
//!
//! Everything but `server`, `forward` and `upstream` is pure. What is known of VMs is asked of an [`Oracle`]. DNSSEC is
//! not spoken: what is taken out of an answer would break its signatures, so that DO is ignored and AD never set.

mod cache;
mod forward;
mod found;
#[cfg(test)]
mod hostile;
mod known;
mod oracle;
mod places;
mod policy;
mod reply;
mod request;
mod resolver;
mod server;
mod sift;
mod upstream;
mod zone;

pub use known::Known;
pub use oracle::{Answer, Asked, Asker, Guest, Oracle, Refusal, Verdict};
pub use places::Limits;
pub use server::{Config, ListenError, Listening, Server, Sockets};
pub use upstream::{InvalidUpstream, Upstreams, addresses_v6, parse_upstream};

/// What a question is read as, for tests that throw bytes at it: never a panic.
#[doc(hidden)]
pub fn read(message: &[u8]) -> bool {
    matches!(request::read(message), request::Received::Question(_))
}
