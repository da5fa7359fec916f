//! What the commands of `banger` have in common: how they find the daemon ([`connection`]), what they print ([`mod@print`], [`progress`],
//! [`failure`], [`output`]) and ask ([`ask`]), how they read values, variables and secrets, and how a guest's command or session is joined to this
//! terminal ([`session`], [`attach`]).
//!
//! It knows no command. It uses `api`, `client`, `logins` and `model`.

pub mod ask;
pub mod attach;
pub mod complete;
pub mod connection;
pub mod create;
pub mod exit;
pub mod failure;
pub mod list;
pub mod logins;
pub mod many;
pub mod named;
pub mod output;
pub mod print;
pub mod progress;
pub mod reach;
pub mod remove;
pub mod secrets;
pub mod session;
pub mod sudo;
pub mod terminal;
pub mod values;
pub mod variables;
pub mod work;
