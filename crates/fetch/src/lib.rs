//! Files over HTTP and HTTPS, read as a stream that is resumed after a fault.
//!
//! ```text
//!          ┌───────────── after a pause ─────────────┐
//!          ▼                                         │ broken, stalled, cut, 429, 5xx:
//!  ask (Range, If-Range) ──▶ read … read … read ─────┤ a bounded number of times without progress
//!                                          │         └──▶ the last failure
//!                                          └ all bytes ──▶ end
//! ```
//!
//! The reader does not notice repetitions. This crate does not know what it fetches: the caller checks the digest or the signature of
//! the content before trusting it. Proxies are taken from the environment, as everywhere.
//!
//! Servers lead where [`Reach`] allows, and clients of the registry's are made by [`client`] as those here are. This crate knows
//! no stores, images or kernels.

mod clients;
mod download;
mod error;
mod fetcher;
mod pause;
mod reach;
mod shown;
mod trust;
mod waiting;

pub use clients::{Limits, client};
pub use download::{Download, content_range};
pub use error::Error;
pub use fetcher::Fetcher;
pub use pause::pause_after;
pub use reach::{Reach, Refused};
pub use reqwest::Url;
pub use shown::shown;
pub use trust::{NoAuthorities, Trust};
pub use waiting::{CalledOff, Waiting};
