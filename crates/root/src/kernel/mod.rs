//! The host as the helper sees and changes it: one [`Step`] at a time, each of which may be taken twice.

pub(crate) mod netlink;
pub(crate) mod nft;
pub(crate) mod resolved;
mod tap;
pub(crate) mod uses;
mod watch;

use std::fs;
use std::io;
use std::net::IpAddr;

use banger_model::network::Cidr;
use banger_netlink::route as message;
use banger_netplan::{Use, filter};

use crate::host::{Observed, Step};

pub use watch::Watch;

/// A host that refuses.
#[derive(Debug, thiserror::Error)]
#[error("failed to {doing}")]
pub struct HostError {
    /// What was to be done, in words.
    pub doing: String,
    /// Why it was not.
    pub source: io::Error,
}

pub(crate) fn cannot<E: Into<io::Error>>(doing: impl ToString) -> impl FnOnce(E) -> HostError {
    let doing = doing.to_string();
    move |error: E| HostError {
        doing,
        source: error.into(),
    }
}

/// A host to look at and to change. There is one, [`Kernel`]; tests put one before it whose steps fail.
pub trait Host: Send {
    /// Looks at interfaces, addresses and routes.
    ///
    /// # Errors
    /// The kernel does not tell.
    fn observe(&self) -> Result<Observed, HostError>;

    /// What the host uses of addresses, but by the interface `bridge`, whose addresses are `gateways` if it is there: routes and
    /// what they lead through, and as far as `more` says so, whom it asks for names and whom it is connected to.
    ///
    /// # Errors
    /// It cannot be looked up.
    fn uses(&self, bridge: &str, gateways: &[IpAddr], more: Look) -> Result<Vec<Use>, HostError>;

    /// A setting's value, by its path below `/proc/sys`; none if there is no such setting.
    ///
    /// # Errors
    /// It is there and cannot be read.
    fn setting(&self, key: &str) -> Result<Option<String>, HostError>;

    /// The owner's tables of the packet filter, with numbers for names and without counters; of others, what tables and chains
    /// there are and which of them drop what is forwarded.
    ///
    /// # Errors
    /// `nft` fails.
    fn filter(&self, owner: u32) -> Result<String, HostError>;

    /// Makes one change.
    ///
    /// # Errors
    /// The kernel refuses it.
    fn apply(&self, step: &Step) -> Result<(), HostError>;
}

/// How much is looked at beside routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Look {
    /// Nothing: in a network of its own there is nothing more.
    Routes,
    /// Whom the host asks for names.
    Resolvers,
    /// Also whom it is connected to, before addresses are claimed.
    Connections,
}

/// The kernel of this host, in the network namespace of the thread that asks it.
#[derive(Debug, Clone, Copy)]
pub struct Kernel;

impl Host for Kernel {
    fn observe(&self) -> Result<Observed, HostError> {
        let observe = || {
            let socket = netlink::questions()?;
            let mut lists = netlink::Lists::of(&socket);
            io::Result::Ok(Observed {
                links: lists.links()?,
                addresses: lists.addresses()?,
                routes: lists.routes()?,
            })
        };
        observe().map_err(cannot("read the host's network"))
    }

    fn uses(&self, bridge: &str, gateways: &[IpAddr], more: Look) -> Result<Vec<Use>, HostError> {
        let mut all = uses::of_routes(bridge).map_err(cannot("read the host's routes"))?;
        if more >= Look::Resolvers {
            all.extend(uses::of_resolvers(bridge, gateways).map_err(cannot("read the host's resolvers"))?);
        }
        if more >= Look::Connections {
            all.extend(uses::of_connections().map_err(cannot("read the host's connections"))?);
        }
        Ok(all)
    }

    fn setting(&self, key: &str) -> Result<Option<String>, HostError> {
        match fs::read_to_string(format!("/proc/sys/{key}")) {
            Ok(value) => Ok(Some(value.trim_end().to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(cannot(format_args!("read the host's setting {key}"))(error)),
        }
    }

    fn filter(&self, owner: u32) -> Result<String, HostError> {
        nft::list(&filter::table(owner)).map_err(cannot("read the host's packet filter"))
    }

    fn apply(&self, step: &Step) -> Result<(), HostError> {
        act(step).map_err(cannot(step))
    }
}

/// What makes or replaces.
const SET: i32 = libc::NLM_F_CREATE | libc::NLM_F_REPLACE;

fn act(step: &Step) -> io::Result<()> {
    use netlink::{change, index, removed};
    let state = |name: &str, up| {
        let index = index(name)?;
        change(message::link_message(libc::RTM_SETLINK, 0, index, Some(up)))
    };
    match step {
        Step::Bridge { name, mac, mtu } => {
            change(message::bridge_message(name, &mac.octets(), (*mtu).into()))
        }
        Step::Address(link, address, prefix) => {
            // Nobody else may be there: ports are isolated, and what they send is checked. So no duplicate is looked for.
            let message = message::address_message(libc::RTM_NEWADDR, SET, index(link)?, *address, *prefix);
            change(match Cidr::around(*address, *prefix).map(|block| block.last()) {
                Some(IpAddr::V4(last)) => message.with(libc::IFA_BROADCAST, &last.octets()),
                _ => message,
            })
        }
        Step::NoAddress(link, address, prefix) => {
            let forget = |index| message::address_message(libc::RTM_DELADDR, 0, index, *address, *prefix);
            removed(index(link).map(forget))
        }
        Step::Setting(key, value) => fs::write(format!("/proc/sys/{key}"), value),
        Step::Filter { script, .. } => nft::apply(script).or_else(|error| {
            // A kernel without what is optional has the rest.
            let less = filter::without_optional(script);
            less.map_or(Err(error), |less| nft::apply(&less))
        }),
        Step::Tap { name, owner } => tap::make(name, *owner),
        Step::Port { tap, bridge, mtu } => {
            let tap = index(tap)?;
            change(message::port_message(tap, index(bridge)?, (*mtu).into()))?;
            // The kernel takes what is a port's own only of what is a port already.
            change(message::isolated_message(tap))
        }
        Step::Rename { from, to } => change(message::name_message(index(from)?, to)),
        Step::Up(name) => state(name, true),
        Step::Down(name) => state(name, false),
        Step::Neighbour(bridge, address, mac) => {
            let place = message::neighbour_message(libc::RTM_NEWNEIGH, SET, index(bridge)?, *address);
            change(place.with(libc::NDA_LLADDR, &mac.octets()))
        }
        Step::NoNeighbour(bridge, address) => {
            let forget = |index| message::neighbour_message(libc::RTM_DELNEIGH, 0, index, *address);
            removed(index(bridge).map(forget))
        }
        Step::NoLink(name) => netlink::remove(name),
    }
}
