//! The guest's side of banger: what banger does in a guest before its init, next to it, or in its place.
//!
//! ```text
//!  PID 1 ─ boot: modules, vsock, hello ─▶ Configure ─▶ mounts, root ─▶ Ready ─▶ the image's init, or stays as init
//!    └─ supervisor: holds the listener; starts the server again when it dies
//!         └─ server: HTTP; hands each command's connection to a shim
//!              └─ shim: one command, its pipes or terminal, and its connection
//!              └─ keeper: one session, its log and its clients; outlives them all
//! ```
//!
//! Each is a process of its own, so that killing the server loses no command: a command's connection belongs to its
//! shim. `banger-fake-guest` runs the same server and shims on the host, for tests.

pub mod boot;
pub mod clock;
pub mod exec;
pub mod power;
pub mod server;
pub mod session;
pub mod socket;
pub mod ssh;
pub mod supervisor;

mod answer;
mod descriptors;
mod endings;
mod events;
mod failure;
mod files;
mod forward;
mod freeze;
mod peer;
mod ports;
mod secrets;
mod systemd;
mod workspace;
