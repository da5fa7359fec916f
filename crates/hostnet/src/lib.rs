//! The network of this daemon's VMs: the slot of each VM, and the requests to the helper.
//!
//! ```text
//!  VM's start ──▶ attach ──▶ slot (database) ──▶ helper ──▶ TAP ──▶ VMM's card, guest's addresses
//!  vm set     ──▶ policy ──▶ rules ────────────▶ helper
//!  its end    ──▶ detach ──────────────────────▶ helper
//!  helper     ──▶ flows ──▶ egress
//! ```
//!
//! The helper keeps its own plan, so this module keeps a connection to it, and who is attached for the resolver. A
//! VM's slot, and with it its addresses, stays the VM's as long as there is the VM. The helper is root's, or the same code in
//! namespaces of the user's own (`way.rs` chooses). Where there is neither, VMs have no card; one that was told to reach
//! something says so instead of booting.
//!
//! What a user says of it comes as [`Settings`], and slots and learnt rules are kept by whoever implements [`Records`]: nothing here
//! knows the configuration's file or the database.

mod around;
mod attach;
mod choose;
mod egress;
mod error;
mod examine;
mod flows;
mod helper;
mod host;
mod inside;
mod listen;
mod loopback;
mod names;
mod namespace;
mod network;
mod outside;
mod passt;
mod records;
mod report;
mod router;
mod routes;
mod settings;
mod socket;
mod telling;
mod unable;
mod way;

pub use attach::{Attached, needs_card};
pub use egress::{Egress, News};
pub use error::Error;
pub use examine::Seen;
pub use inside::serve_own;
pub use loopback::{Answers, who_answers};
pub use network::Network;
pub use records::{Records, Unkept};
pub use report::report;
pub use settings::{Resolver, Settings};
pub use way::Way;
