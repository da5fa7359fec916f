//! A host as it is looked at, and as it is changed: one [`Step`] at a time, each of which may be taken twice.

use std::fmt;
use std::net::IpAddr;

use banger_model::network::Mac;
use banger_netlink::route::{Address, Link, Route};

/// What is on the host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    /// All interfaces.
    pub links: Vec<Link>,
    /// All addresses.
    pub addresses: Vec<Address>,
    /// All routes of all tables.
    pub routes: Vec<Route>,
}

impl Observed {
    /// The interface of this name.
    pub fn link(&self, name: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.name == name)
    }
}

/// One change of the host. All names and paths in it are the helper's own, never a caller's.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants say what their fields are")]
pub enum Step {
    /// A bridge that is up, with this address and this largest packet.
    Bridge { name: String, mac: Mac, mtu: u16 },
    /// An address on an interface, with the length of its prefix.
    Address(String, IpAddr, u8),
    /// That address no more.
    NoAddress(String, IpAddr, u8),
    /// A setting, by its path below `/proc/sys`, and its value.
    Setting(String, String),
    /// The packet filter's transaction: as a whole or not at all.
    Filter { what: &'static str, script: String },
    /// A TAP of this name that is the user's.
    Tap { name: String, owner: u32 },
    /// A TAP as a port of the bridge, isolated from other ports.
    Port { tap: String, bridge: String, mtu: u16 },
    /// Another name for an interface that is down.
    Rename { from: String, to: String },
    /// An interface that is up.
    Up(String),
    /// An interface that is down.
    Down(String),
    /// Where an address is on this bridge, not to be learnt otherwise.
    Neighbour(String, IpAddr, Mac),
    /// That no more.
    NoNeighbour(String, IpAddr),
    /// No such interface.
    NoLink(String),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bridge { name, .. } => write!(f, "create bridge {name}"),
            Self::Address(link, own, prefix) => write!(f, "give {link} the address {own}/{prefix}"),
            Self::NoAddress(link, own, prefix) => write!(f, "remove {own}/{prefix} from {link}"),
            Self::Setting(key, value) => write!(f, "set {key} to {value}"),
            Self::Filter { what, .. } => write!(f, "{what}"),
            Self::Tap { name, owner } => write!(f, "create TAP {name} for uid {owner}"),
            Self::Port { tap, bridge, .. } => write!(f, "make {tap} an isolated port of {bridge}"),
            Self::Rename { from, to } => write!(f, "rename {from} to {to}"),
            Self::Up(name) => write!(f, "bring {name} up"),
            Self::Down(name) => write!(f, "bring {name} down"),
            Self::Neighbour(_, address, mac) => write!(f, "set the neighbour {address} to {mac}"),
            Self::NoNeighbour(_, address) => write!(f, "remove the neighbour {address}"),
            Self::NoLink(name) => write!(f, "remove {name}"),
        }
    }
}
