//! Copying between this host, VMs, and pipes: files are packed and unpacked here, on a thread beside the connection.

mod meter;
mod out;
mod place;
mod receive;
mod send;

pub(crate) use self::meter::Meter;
pub(crate) use self::out::{Chunk, Out};
pub(crate) use self::place::Place;
pub(crate) use self::receive::{receive, to_pipe, to_vm};
pub(crate) use self::send::{packed, piped};
