//! The host as the helper sees and changes it: one [`Step`] at a time, each of which may be taken twice.

mod netlink;
mod nft;
mod tap;

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use banger_model::network::{Cidr, Mac};

use netlink::Netlink;

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
    /// An address on an interface.
    Address {
        link: String,
        address: IpAddr,
        prefix: u8,
    },
    /// That address no more.
    NoAddress {
        link: String,
        address: IpAddr,
        prefix: u8,
    },
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
            Self::Address {
                link,
                address,
                prefix,
            } => write!(f, "give {link} the address {address}/{prefix}"),
            Self::NoAddress {
                link,
                address,
                prefix,
            } => write!(f, "take {address}/{prefix} from {link}"),
            Self::Setting { key, value } => write!(f, "set {key} to {value}"),
            Self::Filter { what, .. } => write!(f, "{what}"),
            Self::Tap { name, owner } => write!(f, "make TAP {name} for uid {owner}"),
            Self::Port { tap, bridge, .. } => write!(f, "make {tap} an isolated port of {bridge}"),
            Self::Rename { from, to } => write!(f, "rename {from} to {to}"),
            Self::Up { name } => write!(f, "bring {name} up"),
            Self::Neighbour { address, mac, .. } => write!(f, "place {address} at {mac}"),
            Self::NoNeighbour { address, .. } => write!(f, "forget where {address} is"),
            Self::NoLink { name } => write!(f, "remove {name}"),
        }
    }
}

/// A host that refuses.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// A change that did not come to be.
    #[error("cannot {step}")]
    Step {
        /// The change, in words.
        step: String,
        /// Why not.
        source: io::Error,
    },
    /// Something that could not be looked at.
    #[error("cannot read the host's {what}")]
    Observe {
        /// What.
        what: String,
        /// Why not.
        source: io::Error,
    },
}

/// A host to look at and to change. There is one, [`Kernel`]; tests put one before it whose steps fail.
pub trait Host: Send {
    /// Looks at interfaces, addresses and routes.
    ///
    /// # Errors
    /// The kernel does not tell.
    fn observe(&self) -> Result<Observed, HostError>;

    /// A setting's value, by its path below `/proc/sys`; none if there is no such setting.
    ///
    /// # Errors
    /// It is there and cannot be read.
    fn setting(&self, key: &str) -> Result<Option<String>, HostError>;

    /// All rules of the packet filter, with numbers for names and without counters.
    ///
    /// # Errors
    /// `nft` fails.
    fn filter(&self) -> Result<String, HostError>;

    /// Makes one change.
    ///
    /// # Errors
    /// The kernel refuses it.
    fn apply(&self, step: &Step) -> Result<(), HostError>;
}

/// The kernel of this host, in the network namespace that this was made in.
#[derive(Debug)]
pub struct Kernel {
    netlink: Mutex<Netlink>,
}

impl Kernel {
    /// Opens the way to the kernel.
    ///
    /// # Errors
    /// There is no netlink socket to be had.
    pub fn open() -> Result<Self, HostError> {
        let what = || "network".to_owned();
        let netlink = Netlink::open().map_err(|source| HostError::Observe { what: what(), source })?;
        Ok(Self {
            netlink: Mutex::new(netlink),
        })
    }

    fn netlink<T>(&self, ask: impl FnOnce(&mut Netlink) -> io::Result<T>) -> io::Result<T> {
        // A panic leaves at worst unread answers, whose numbers no later question has.
        ask(&mut self.netlink.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Host for Kernel {
    fn observe(&self) -> Result<Observed, HostError> {
        let observed = self.netlink(|netlink| {
            Ok(Observed {
                links: netlink.links()?,
                addresses: netlink.addresses()?,
                routes: netlink.routes()?,
            })
        });
        observed.map_err(|source| HostError::Observe {
            what: "network".to_owned(),
            source,
        })
    }

    fn setting(&self, key: &str) -> Result<Option<String>, HostError> {
        match fs::read_to_string(format!("/proc/sys/{key}")) {
            Ok(value) => Ok(Some(value.trim_end().to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(HostError::Observe {
                what: format!("setting {key}"),
                source,
            }),
        }
    }

    fn filter(&self) -> Result<String, HostError> {
        nft::list().map_err(|source| HostError::Observe {
            what: "packet filter".to_owned(),
            source,
        })
    }

    fn apply(&self, step: &Step) -> Result<(), HostError> {
        let done = match step {
            Step::Bridge { name, mac, mtu } => self.netlink(|n| n.bridge(name, *mac, *mtu)),
            Step::Address {
                link,
                address,
                prefix,
            } => self.netlink(|n| n.address(link, *address, *prefix, true)),
            Step::NoAddress {
                link,
                address,
                prefix,
            } => self.netlink(|n| n.address(link, *address, *prefix, false)),
            Step::Setting { key, value } => fs::write(format!("/proc/sys/{key}"), value),
            Step::Filter { script, .. } => nft::apply(script),
            Step::Tap { name, owner } => tap::make(name, *owner),
            Step::Port { tap, bridge, mtu } => self.netlink(|n| n.port(tap, bridge, *mtu)),
            Step::Rename { from, to } => self.netlink(|n| n.rename(from, to)),
            Step::Up { name } => self.netlink(|n| n.up(name)),
            Step::Neighbour { bridge, address, mac } => {
                self.netlink(|n| n.neighbour(bridge, *address, Some(*mac)))
            }
            Step::NoNeighbour { bridge, address } => self.netlink(|n| n.neighbour(bridge, *address, None)),
            Step::NoLink { name } => self.netlink(|n| n.remove(name)),
        };
        done.map_err(|source| HostError::Step {
            step: step.to_string(),
            source,
        })
    }
}
