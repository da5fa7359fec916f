//! The one privileged program of banger, for one user's VMs: their bridge, their TAPs, their packet filter.
//!
//! ```text
//!  bangerd ──Verb──▶ serve ──▶ helper ──▶ plan (what shall be, recorded)
//!  (owner)  ◀─Reply── who asks?   │ decides
//!                                 ├──▶ converge: plan and host ──▶ steps        (pure)
//!                                 ├──▶ rules: plan ──▶ nft's transaction        (pure)
//!                                 └──▶ kernel: takes the steps  (netlink, TAP, nft, /proc/sys/net)
//! ```
//!
//! A daemon uses [`Client`] and [`wire`]; the rest is the helper itself, public for its tests. The threat model is in
//! `docs/privilege.md`.

mod client;
pub mod confine;
mod converge;
mod file;
mod flows;
pub mod helper;
pub mod host;
pub mod kernel;
pub mod plan;
pub mod serve;
mod user;
pub mod wire;

pub use client::{CallError, Client, Flows};
