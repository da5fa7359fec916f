//! What a user says of the network.

use std::net::SocketAddr;

use banger_dns::Upstreams;
use banger_model::network::{NetworkChoice, Subnet};

/// What a user says of the network of all VMs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Who makes it.
    pub choice: NetworkChoice,
    /// The addresses of VMs; moved out of the way of what the host uses.
    pub subnet: Option<Subnet>,
    /// How many TAPs wait for VMs.
    pub pool: u8,
    /// The resolver.
    pub resolver: Resolver,
}

/// What a user says of the resolver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolver {
    /// Who is asked for names that are not VMs'.
    pub upstreams: Upstreams,
    /// Where the host's own programs ask, beside the gateway.
    pub listen: Option<SocketAddr>,
}
