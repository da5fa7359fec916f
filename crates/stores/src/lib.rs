//! What can be done with images, kernels and catalogs: one function for each request, beside what the daemon's children do for
//! them ([`perform`]). Which are in use, the VMs say; who may ask, and how, is the server's.

pub mod catalog_images;
pub mod catalogs;
pub mod exports;
pub mod images;
pub mod kernels;
pub mod pull;

mod chosen;
mod in_use;
mod jobs;
mod offered;
mod progress;
mod pull_request;

pub use jobs::perform;
