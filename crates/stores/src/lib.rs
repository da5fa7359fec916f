//! Operations on images, kernels and catalogs: one function for each request, and the jobs that the daemon's child processes do for
//! them ([`perform`]). The VMs know which images and kernels are in use; the server checks requests.

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
