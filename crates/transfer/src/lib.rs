//! Files between this host and a guest: copied once ([`copy`]), or kept the same as they change ([`sync`]).
//!
//! Files are packed and unpacked here, on a thread beside the connection, and the connection carries a tar. What leads to the guest is
//! a [`GuestFiles`]: the command line's is the daemon's API, and a client on another host may have another one. Nothing here prints or
//! asks a person. It uses `archive`, `git`, `guest`, `hostfs`, `model` and `wire`.

pub mod copy;
mod error;
mod guest;
pub mod sync;

pub use error::Error;
pub use guest::GuestFiles;
