//! The host's side of the guest agent.
//!
//! ```text
//!  workspaces, identity, copies ──▶ trait Guest ◀── Agent ── HTTP/1.1, one connection a request ──▶ trait Dial ──▶ the agent
//! ```
//!
//! [`Guest`] is what code asks of a guest that need not be on the guest's host: commands, files, workspaces. [`Agent`] is the
//! guest behind a connection that [`Dial`] makes, and has what only the guest's host asks besides: its configuration, its end, tunnels,
//! sessions. [`HelloListener`] is where the agent says hello.
//!
//! Nothing here knows a VMM, a VM's record or a database: who has a machine makes the connections. All that a guest says has
//! bounds ([`budget`]): a guest is a stranger.

mod agent;
pub mod budget;
mod client;
mod dial;
mod error;
mod events;
mod files;
mod guest;
mod hello;
mod secrets;
mod sessions;
mod stream;
#[cfg(test)]
mod testing;
mod workspace;

pub use agent::{Agent, Frozen};
pub use dial::{Dial, Unreachable};
pub use error::{Cause, Error, Refusal};
pub use events::Events;
pub use files::frames;
pub use guest::{Connection, Duplex, Frames, Guest, Looked};
pub use hello::{Error as HelloError, HelloListener};
pub use stream::AgentStream;
