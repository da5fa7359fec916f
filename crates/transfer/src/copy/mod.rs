//! Copying between this host, guests, and pipes: files are packed and unpacked here, on a thread beside the connection.

mod out;
mod receive;
mod send;
mod thread;

pub use out::Out;
pub use receive::{pass_on, receive};
pub use send::{packed, piped, to_guest};
