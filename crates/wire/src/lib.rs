//! HTTP/1.1 and frames over any stream, on the client's side: of the daemon's API, of the agent in a guest, and of Firecracker's API.
//!
//! The caller connects, and knows routes and what answers mean. [`Connection`] sends requests over the stream and bounds what the
//! peer can make of this side's memory; [`switch`] gives the stream back when the peer has switched to another protocol.
//! [`FrameReader`] and [`FrameWriter`] are `stdio_mux_v1` over such a stream, whose codec is [`banger_guest_api::frame`]; [`files`] is
//! what goes over one that is about a guest's files.
//!
//! It uses `guest` alone, and opens no file or socket.

mod body;
mod broken;
mod connection;
pub mod files;
mod frames;
mod metered;
mod switched;

pub use body::{Body, CollectError, chunks, collect, empty, json, next_chunk, whole};
pub use broken::Broken;
pub use connection::{Connection, Peer, Response, send};
pub use frames::{FrameReadError, FrameReader, FrameWriter};
pub use hyper::body::Incoming;
pub use switched::{Asked, Switched, ask_to_switch, switch};
