//! A host as it is looked at, and as it is changed: one [`Step`] at a time, each of which may be taken twice.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use super::{Cidr, Mac};

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// Its number.
    pub index: u32,
    /// Its hardware address.
    pub mac: Vec<u8>,
    /// Its largest packet, in bytes.
    pub mtu: u32,
    /// Whether it is up.
    pub up: bool,
    /// Whether it is a bridge.
    pub bridge: bool,
    /// The bridge that it is a port of.
    pub master: Option<u32>,
    /// Whether it is a port that no other such port hears.
    pub isolated: bool,
    /// The user who may open it, of a TAP.
    pub owner: Option<u32>,
}

/// A block of addresses that the host reaches in some way, other than its default one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The addresses; all for a default route.
    pub net: Cidr,
    /// By which interface.
    pub link: u32,
    /// Whether a router announced it (IPv6).
    pub announced: bool,
}

/// What is on the host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    /// All interfaces.
    pub links: Vec<Link>,
    /// All addresses, with their interface's number and the length of their prefix.
    pub addresses: BTreeSet<(u32, IpAddr, u8)>,
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
    Address { link: String, own: (IpAddr, u8) },
    /// That address no more.
    NoAddress { link: String, own: (IpAddr, u8) },
    /// A setting, by its path below `/proc/sys`.
    Setting { key: String, value: String },
    /// The packet filter's transaction: as a whole or not at all.
    Filter { what: &'static str, script: String },
    /// A TAP that is the user's.
    Tap { name: String, owner: u32 },
    /// A TAP as a port of the bridge, isolated from other ports.
    Port { tap: String, bridge: String, mtu: u16 },
    /// Another name for an interface that is down.
    Rename { from: String, to: String },
    /// An interface that is up.
    Up { name: String },
    /// An interface that is down.
    Down { name: String },
    /// Where an address is, not to be learnt otherwise.
    Neighbour {
        bridge: String,
        address: IpAddr,
        mac: Mac,
    },
    /// That no more.
    NoNeighbour { bridge: String, address: IpAddr },
    /// No such interface.
    NoLink { name: String },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bridge { name, .. } => write!(f, "make bridge {name}"),
            Self::Address { link, own } => write!(f, "give {link} the address {}/{}", own.0, own.1),
            Self::NoAddress { link, own } => write!(f, "take {}/{} from {link}", own.0, own.1),
            Self::Setting { key, value } => write!(f, "set {key} to {value}"),
            Self::Filter { what, .. } => write!(f, "{what}"),
            Self::Tap { name, owner } => write!(f, "make TAP {name} for uid {owner}"),
            Self::Port { tap, bridge, .. } => write!(f, "make {tap} an isolated port of {bridge}"),
            Self::Rename { from, to } => write!(f, "rename {from} to {to}"),
            Self::Up { name } => write!(f, "bring {name} up"),
            Self::Down { name } => write!(f, "bring {name} down"),
            Self::Neighbour { address, mac, .. } => write!(f, "place {address} at {mac}"),
            Self::NoNeighbour { address, .. } => write!(f, "forget where {address} is"),
            Self::NoLink { name } => write!(f, "remove {name}"),
        }
    }
}
