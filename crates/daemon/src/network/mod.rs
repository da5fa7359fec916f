//! The network of this daemon's VMs: which slot a VM has, and what the root helper is asked to do for it.
//!
//! ```text
//!  VM's start ──▶ attach ──▶ slot (database) ──▶ root helper ──▶ TAP ──▶ VMM's card, guest's addresses
//!  vm set     ──▶ policy ──▶ rules ────────────▶ root helper
//!  its end    ──▶ detach ──────────────────────▶ root helper
//! ```
//!
//! The helper keeps its own plan, so this module keeps a connection to it, and who is attached for the resolver. A
//! VM's slot, and with it its addresses, stays the VM's as long as there is the VM. Where there is no helper, VMs have no
//! card; one that was told to reach something says so instead of booting.

mod helper;
mod host;
mod loopback;
mod names;
mod report;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use banger_guest_api as guest;
use banger_model::network::{Finding, Mac, NetMode, Network as Addresses, Rules, Slot, Subnet};
use banger_model::{ErrorCode, VmSpec};
use banger_root::CallError;
use banger_root::wire::{Attach, FailureCode, Status};
use banger_vmm::Card;

use crate::config::{Config, NetworkChoice};
use crate::database::{self, Database};
use crate::error::Describe;

use helper::Helper;
pub(crate) use loopback::{Answers, who_answers};
use names::{Names, Serving, Settings};
pub(crate) use report::report;

/// The network. Its calls block for milliseconds.
#[derive(Debug)]
pub(crate) struct Network {
    helper: Arc<Helper>,
    names: Arc<Names>,
    /// The resolver, once there is a network. Who prepares one holds this.
    serving: Mutex<Option<Serving>>,
}

/// A VM's place in the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attached {
    /// Its slot.
    pub(crate) slot: Slot,
    /// What its VMM is told.
    pub(crate) card: Card,
    /// What its guest is told.
    pub(crate) guest: guest::Network,
    /// What its user is told, if anything.
    pub(crate) note: Option<String>,
}

/// There is no network, or not for this VM.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// No helper is configured, or none answers.
    #[error("there is no network: {reason}")]
    None { reason: String, hint: &'static str },
    /// The helper failed.
    #[error("ask the root helper to {what}")]
    Helper {
        what: &'static str,
        #[source]
        source: CallError,
    },
    /// The database failed.
    #[error("keep the slot of a VM")]
    Database(#[from] database::Error),
    /// Every private address is somebody's.
    #[error("find private addresses that nobody on this host uses")]
    NoSubnet,
    /// The resolver cannot listen.
    #[error("answer VMs that ask for names")]
    Resolver(#[source] banger_dns::ListenError),
    /// A thread of blocking work panicked.
    #[error("a call to the root helper panicked")]
    Panicked,
    /// There are as many VMs as addresses.
    #[error("the network {0} has an address for no more VMs")]
    Full(Subnet),
}

/// How a helper is had.
pub(crate) const INSTALL: &str =
    "`sudo banger system install` installs the root helper; see docs/privilege.md";

impl Network {
    /// The network of the user who runs this. A daemon whose directories are elsewhere than by default shares no helper with
    /// the default one: both would give the same addresses.
    pub(crate) fn of_env() -> Self {
        let is_elsewhere = std::env::var_os("BANGER_HOME").is_some_and(|home| !home.is_empty());
        let helper = Arc::new(Helper::new(is_elsewhere));
        Self {
            names: Arc::new(Names::new(Arc::clone(&helper))),
            helper,
            serving: Mutex::default(),
        }
    }

    /// What the helper says of itself and of the host; nothing when none answers. None is started for it.
    pub(crate) fn examine(&self) -> Option<Result<(Status, Vec<Finding>), Error>> {
        let status = self
            .helper
            .call_if_there("tell its state", |client| client.status())?;
        let findings = self
            .helper
            .call_if_there("audit the host", |client| client.audit())?;
        Some(status.and_then(|status| Ok((status, findings?))))
    }

    /// Gives a VM its card. Doing it again is no harm.
    pub(crate) fn attach(
        &self,
        config: &Config,
        database: &Database,
        spec: &VmSpec,
        rules: Rules,
    ) -> Result<Attached, Error> {
        self.usable(config)?;
        // One at a time: two would choose addresses for themselves, and one take the other for a stray.
        let mut serving = self.serving.lock().unwrap_or_else(PoisonError::into_inner);
        let (addresses, note) = self.prepare(config, &mut serving)?;
        let slot = database
            .slot(spec.id, addresses.subnet.capacity())?
            .ok_or(Error::Full(addresses.subnet))?;
        let mac = Mac::of_vm(&spec.id);
        let attach = Attach { slot, mac, rules };
        let attached = self
            .helper
            .call("attach a VM", |client| client.attach(attach.clone()))?;
        self.names.set(slot, &spec.name, &spec.net);
        Ok(Attached {
            slot,
            card: Card {
                tap: attached.tap,
                mac: mac.to_string(),
            },
            guest: guest::Network {
                mac: mac.to_string(),
                addresses: addresses.addresses(slot).collect(),
                gateways: gateways(&addresses),
                mtu: addresses.mtu,
                resolvers: gateways(&addresses),
                search: vec!["vm".to_owned()],
            },
            note,
        })
    }

    /// Takes a VM's card away; one that has none is no failure, nor is a helper that is not there.
    pub(crate) fn detach(&self, slot: Slot) -> Result<(), Error> {
        self.names.remove(slot);
        match self
            .helper
            .call_if_there("detach a VM", |client| client.detach(slot))
        {
            Some(result) => result,
            None => Ok(()),
        }
    }

    /// Lets other rules hold for an attached VM.
    pub(crate) fn policy(&self, slot: Slot, spec: &VmSpec, rules: &Rules) -> Result<(), Error> {
        self.helper.call("change what a VM may reach", |client| {
            client.policy(slot, rules.clone())
        })?;
        self.names.set(slot, &spec.name, &spec.net);
        Ok(())
    }

    /// Takes over from an earlier daemon: names of the VMs that are `live` are answered again.
    pub(crate) fn take_over(&self, config: &Config, live: &[(Slot, VmSpec)]) -> Result<(), Error> {
        // Known as live whether or not a helper is there now.
        for (slot, spec) in live {
            self.names.set(*slot, &spec.name, &spec.net);
        }
        let mut serving = self.serving.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(status) = self
            .helper
            .call_if_there("tell its state", |client| client.status())
        else {
            return Ok(());
        };
        let status = status?;
        if let Some(addresses) = status.network.as_ref().filter(|_| !live.is_empty()) {
            self.names.serve(addresses, Settings::of(config), &mut serving)?;
        }
        self.detach_strays(&status)
    }

    /// Detaches what is attached and no VM of this daemon's: another daemon died before it could, or no helper was there
    /// when it should have been.
    fn detach_strays(&self, status: &Status) -> Result<(), Error> {
        let attached = status.attached.iter().map(|(slot, _)| *slot);
        attached
            .filter(|slot| !self.names.has(*slot))
            .try_for_each(|slot| self.detach(slot))
    }

    fn usable(&self, config: &Config) -> Result<(), Error> {
        match config.network {
            NetworkChoice::Off => Err(Error::None {
                reason: "`network = \"off\"` in config.toml".to_owned(),
                hint: "remove that line",
            }),
            NetworkChoice::Auto | NetworkChoice::Helper => self.helper.ensure(),
        }
    }

    /// The network's addresses, with the resolver at work. The first time they are chosen, out of the way of what the host
    /// uses.
    fn prepare(
        &self,
        config: &Config,
        serving: &mut Option<Serving>,
    ) -> Result<(Addresses, Option<String>), Error> {
        let (addresses, note) = self.addresses(config)?;
        self.names.serve(&addresses, Settings::of(config), serving)?;
        Ok((addresses, note))
    }

    fn addresses(&self, config: &Config) -> Result<(Addresses, Option<String>), Error> {
        let status = self.helper.call("tell its state", |client| client.status())?;
        self.detach_strays(&status)?;
        let pool = config.tap_pool_size.min(64);
        if let Some(there) = status.network {
            // What VMs have stays while they have it.
            let wanted = config.subnet.is_none_or(|subnet| subnet == there.subnet);
            if !status.attached.is_empty() || wanted && there.pool == pool {
                return Ok((there, None));
            }
        }
        let preferred = config.subnet.unwrap_or_default();
        let subnet = preferred
            .free(&host::used_blocks(self.helper.owner()))
            .ok_or(Error::NoSubnet)?;
        let addresses = Addresses {
            subnet,
            ula: host::ula(self.helper.owner()),
            mtu: host::mtu(),
            pool,
        };
        self.helper
            .call("prepare a network", |client| client.prepare(addresses.clone()))?;
        let moved = (subnet != preferred)
            .then(|| format!("VMs have addresses of {subnet}: this host uses {preferred} already"));
        Ok((addresses, moved))
    }
}

fn gateways(addresses: &Addresses) -> Vec<std::net::IpAddr> {
    vec![addresses.subnet.gateway().into(), addresses.ula.gateway().into()]
}

/// Whether a VM with these rules must have a card.
pub(crate) fn needs_card(mode: NetMode) -> bool {
    mode != NetMode::Off
}

/// Where a helper's socket is, if this daemon may use one.
fn socket_of(home: bool, owner: u32) -> Option<PathBuf> {
    match std::env::var_os("BANGER_ROOT_SOCKET") {
        Some(path) if path.is_empty() => None,
        Some(path) => Some(PathBuf::from(path)),
        None if home => None,
        None => Some(PathBuf::from(format!("/run/banger-root/{owner}.sock"))),
    }
}

impl Describe for Error {
    fn code(&self) -> ErrorCode {
        match self {
            Self::None { .. } | Self::Full(_) => ErrorCode::Unsupported,
            Self::Helper {
                source: CallError::Failed(failure),
                ..
            } if failure.code == FailureCode::Conflict => ErrorCode::AlreadyExists,
            Self::Helper { .. } | Self::NoSubnet | Self::Resolver(_) => ErrorCode::Host,
            Self::Panicked => ErrorCode::Internal,
            Self::Database(source) => source.code(),
        }
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::None { hint, .. } => hint,
            Self::Panicked => return Vec::new(),
            Self::Helper { .. } | Self::Resolver(_) => "`banger doctor` tells what differs from the plan",
            Self::NoSubnet => "name some: `subnet = \"10.66.0.0/24\"` in config.toml",
            Self::Full(_) => "name a larger one: `subnet = \"10.66.0.0/16\"` in config.toml",
            Self::Database(source) => return source.hints(),
        };
        vec![hint.to_owned()]
    }

    fn log(&self) -> Option<String> {
        None
    }
}
