//! Configuration files, which are read again for each request: the user's settings for all VMs ([`Config`], `config.toml`), the
//! catalogs ([`catalogs`]), and what a repository asks for ([`repository`]).
//!
//! This crate reads files and decides which value applies; it changes nothing but `config.toml` on request. The user's files are
//! trusted, and a repository's are not: the most that a repository may ask for is decided here. Whether a repository is trusted is
//! recorded in the daemon's database.

pub mod catalogs;
mod config;
#[cfg(test)]
mod documented;
mod editing;
mod keys;
pub mod reference;
pub mod repository;
mod suggestion;

pub use config::{CatalogEntry, Config, Error, FetchLimits, Limits, Registry};
pub use editing::{check, set, unset};
pub use keys::show;
