//! A client of the banger daemon, for any program: the command line is one, a web page or an MCP server may be others.
//!
//! [`Client`] has the API's routes as methods, over whatever [`Connector`] leads to the daemon. Every request has a connection of its
//! own, and dropping the future of a request closes it, which is how work is cancelled. [`daemon`] finds the daemon of this user's,
//! starts it when none runs, and reports when the running one should be replaced. [`run`] has the steps of `vm run` that are more than one
//! request.
//!
//! ```no_run
//! # async fn names() -> Result<(), Box<dyn std::error::Error>> {
//! let client = banger_client::daemon::connect().await?;
//! for vm in client.vms().await? {
//!     println!("{}: {}", vm.name, vm.phase);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Nothing here prints, asks a person, or ends the program. It uses `api`, `guest`, `model` and `wire`.

mod call;
mod client;
mod connector;
pub mod daemon;
mod error;
mod files;
mod handed;
mod routes;
pub mod run;
mod secrets;
mod sessions;
mod sse;
mod stores;
mod stream;

pub use client::Client;
pub use connector::Connector;
pub use error::ClientError;
pub use routes::{Hold, Log};
pub use sse::{Egress, EgressEvent};
pub use stream::{Received, Receiver, Sender, Session};
