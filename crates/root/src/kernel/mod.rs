//! The host as the helper sees and changes it: one [`Step`] at a time, each of which may be taken twice.

pub(crate) mod netlink;
mod nft;
pub(crate) mod resolved;
mod tap;

use std::fs;
use std::io;
use std::sync::{Mutex, PoisonError};

use banger_model::network::{Observed, Step};

use netlink::Netlink;

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
