//! Reading untrusted input within bounds.
//!
//! A [`Budget`] bounds what a packed stream may become, and the memory that its decoder may take; [`decompressed`] keeps to
//! it. A [document](document()) is counted before it is parsed, and a file is [read whole](read_whole) only up to a length.
//! Input beyond a bound is the error [`Exceeded`], which readers wrap into an I/O error; [`exceeded`] finds it there.
//!
//! Nothing here knows of images, kernels, files of the host or the network.

mod budget;
mod document;
mod gzip;
mod stream;

pub use budget::{Budget, Exceeded, LONGEST_PATH, MOST_ATTRIBUTES, exceeded, read_whole};
pub use document::document;
pub use stream::{Checked, Format, MAGIC, decompressed};
