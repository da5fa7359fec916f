//! What can be done with images, kernels and catalogs: one function for each request, beside what the daemon's children do for them.

pub(crate) mod catalog_images;
pub(crate) mod catalogs;
pub(crate) mod exports;
pub(crate) mod images;
pub(crate) mod kernels;
pub(crate) mod pull;

mod chosen;
mod in_use;
mod jobs;

pub(crate) use jobs::perform;
