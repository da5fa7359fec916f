//! What is said of VMs in files, and read anew for each request: what a user sets for all VMs ([`Config`], `config.toml`), which
//! catalogs there are ([`catalogs`]), and what a repository asks for ([`repository`]).
//!
//! It reads, and decides what holds; it acts on nothing. The user's files are trusted and the repository's are not: what of its
//! wishes may be granted is decided here, whether the repository is trusted is the daemon's database's to say.

pub mod catalogs;
mod config;
#[cfg(test)]
mod documented;
mod editing;
mod keys;
pub mod repository;
mod suggestion;

pub use config::{CatalogEntry, Config, Error, FetchLimits, Limits, Registry};
pub use editing::{check, set, unset};
pub use keys::show;
