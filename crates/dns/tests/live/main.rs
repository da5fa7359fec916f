//! The server through real sockets on loopback, with an upstream of its own. A VM is an address of 127.0.1.0/24.

mod bounds;
mod client;
mod forwarding;
mod names;
mod rules;
mod upstream;
mod world;
