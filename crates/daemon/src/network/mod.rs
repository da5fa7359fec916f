//! The network of this daemon's VMs: which slot a VM has, and what the helper is asked to do for it.
//!
//! ```text
//!  VM's start ──▶ attach ──▶ slot (database) ──▶ helper ──▶ TAP ──▶ VMM's card, guest's addresses
//!  vm set     ──▶ policy ──▶ rules ────────────▶ helper
//!  its end    ──▶ detach ──────────────────────▶ helper
//!  helper     ──▶ flows ──▶ egress
//! ```
//!
//! The helper keeps its own plan, so this module keeps a connection to it, and who is attached for the resolver. A
//! VM's slot, and with it its addresses, stays the VM's as long as there is the VM. The helper is root's, or the same code in
//! namespaces of the user's own (`way.rs` chooses). Where there is neither, VMs have no card; one that was told to reach
//! something says so instead of booting.

mod around;
mod egress;
mod error;
mod examine;
mod flows;
mod helper;
mod host;
mod inside;
mod loopback;
mod names;
mod namespace;
mod outside;
mod report;
mod router;
mod routes;
mod telling;
mod unable;
mod way;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use banger_api::Paths;
use banger_dns::Oracle;
use banger_guest_api as guest;
use banger_model::network::{Cidr, Mac, NetMode, Network as Addresses, Slot, Subnet, Ula};
use banger_model::{VmSpec, chain};
use banger_netplan::{Flow, Rules};
use banger_root::wire::{Attach, MAX_ANSWERS, Status};
use banger_state::Database;
use banger_vmm::{Card, ProcessId};

use crate::config::Config;

use around::Around;
use egress::Learnt;
pub(crate) use egress::{Egress, News};
use flows::Taker;
use helper::Helper;
pub(crate) use loopback::{Answers, who_answers};
use names::{Names, Serving, Settings};
pub(crate) use report::report;

pub(crate) use error::Error;
pub(crate) use examine::Seen;
pub(crate) use inside::serve_own;
pub(crate) use way::Way;

/// The network. Its calls block for milliseconds.
#[derive(Debug)]
pub(crate) struct Network {
    helper: Arc<Helper>,
    names: Arc<Names>,
    egress: Arc<Egress>,
    around: Arc<Around>,
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
    pub(crate) notes: Vec<String>,
    /// Who made the network.
    pub(crate) way: Way,
    /// Why not the root helper, when nobody asked for that.
    pub(crate) because: Option<String>,
}

/// How a helper is had.
pub(crate) const INSTALL: &str =
    "`sudo banger system install` installs the root helper; see docs/privilege.md";

impl Network {
    /// The network of the user who runs this. A daemon whose directories are elsewhere than by default shares no helper with
    /// the default one: both would give the same addresses.
    pub(crate) fn of_env(paths: &Paths) -> Self {
        let is_elsewhere = std::env::var_os("BANGER_HOME").is_some_and(|home| !home.is_empty());
        let helper = Arc::new(Helper::new(is_elsewhere, paths));
        let egress = Arc::<Egress>::default();
        let names = Arc::new(Names::new(Arc::clone(&helper), Arc::clone(&egress)));
        Self {
            around: Arc::new(Around::new(Arc::clone(&names), Arc::clone(&helper))),
            names,
            egress,
            helper,
            serving: Mutex::default(),
        }
    }

    /// What VMs reached and were refused.
    pub(crate) fn egress(&self) -> &Egress {
        &self.egress
    }

    /// Listens to the helpers for flows from now on, and keeps in `database` what VMs learn. Call it in the runtime, once.
    pub(crate) fn listen(&self, database: &Arc<Database>) {
        self.around.follow();
        let book = Arc::new(Bookkeeper {
            names: Arc::clone(&self.names),
            egress: Arc::clone(&self.egress),
            database: Arc::clone(database),
        });
        let follow = |socket, way| {
            let stirred = Arc::clone(self.helper.stirred(way));
            tokio::spawn(flows::follow(socket, stirred, Arc::clone(&book)));
        };
        if let Some(socket) = self.helper.root() {
            follow(socket.to_owned(), Way::Helper);
        }
        follow(self.helper.rootless().socket(), Way::Rootless);
    }

    /// Gives a VM its card. Doing it again is no harm.
    pub(crate) fn attach(
        &self,
        config: &Config,
        database: &Database,
        spec: &VmSpec,
        rules: Rules,
    ) -> Result<Attached, Error> {
        // One at a time: two would choose addresses for themselves, and one take the other for a stray.
        let mut serving = self.serving.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = !self.names.any();
        let (way, because) = self.choose(config.network, needs_card(rules.mode), &mut serving)?;
        refuse_host_ports(way, &rules)?;
        let mut notes = Vec::new();
        if let Some(why) = because.as_ref().filter(|_| is_first) {
            notes.push(format!("VMs have a network of this user's own: {why}"));
        }
        let within = match way {
            Way::Helper => None,
            Way::Rootless => Some(self.enter(&mut notes)?),
        };
        let addresses = self.prepare(config, &mut serving, &mut notes)?;
        let slot = database
            .slot(spec.id, addresses.subnet.capacity())?
            .ok_or(Error::Full(addresses.subnet))?;
        let mac = Mac::of_vm(&spec.id);
        let attach = Attach { slot, mac, rules };
        let attached = self
            .helper
            .call("attach a VM", |client| client.attach(attach.clone()))?;
        self.names.set(slot, spec);
        Ok(Attached {
            slot,
            card: Card {
                tap: attached.tap,
                mac: mac.to_string(),
                within,
            },
            guest: guest::Network {
                mac: mac.to_string(),
                addresses: addresses.addresses(slot).collect(),
                gateways: gateways(&addresses),
                mtu: addresses.mtu,
                resolvers: gateways(&addresses),
                search: vec!["vm".to_owned()],
            },
            notes,
            way,
            because,
        })
    }

    /// The process whose network VMMs are to be in, with a way out as far as there is one.
    fn enter(&self, notes: &mut Vec<String>) -> Result<ProcessId, Error> {
        let rootless = self.helper.rootless();
        let helper = rootless.helper().ok_or_else(|| Error::None {
            reason: "the helper in a namespace of this user's own has just ended".to_owned(),
            hints: vec!["try again".to_owned()],
        })?;
        if let Err(why) = rootless.outside().open(&helper) {
            notes.push(format!("VMs reach nothing outside: {why}"));
        }
        Ok(helper)
    }

    /// Why VMs reach nothing for now, if the helper withdrew their network.
    pub(crate) fn why_withdrawn(&self) -> Option<String> {
        let status = self
            .helper
            .call_if_there("tell its state", |client| client.status());
        status?.ok()?.withdrawn
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
        refuse_host_ports(self.helper.way(), rules)?;
        let alive = self.names.alive(slot);
        self.helper.call("change what a VM may reach", |client| {
            client.policy(slot, rules.clone())
        })?;
        let still = self.egress.still_named(slot, &alive, &spec.net);
        self.names.set(slot, spec);
        if rules.mode == NetMode::Off {
            return Ok(());
        }
        // The helper has forgotten what names resolved to: what is still allowed goes on, the rest does not.
        for some in still.chunks(MAX_ANSWERS) {
            let answers: Vec<_> = some.iter().map(names::on_the_wire).collect();
            let told = self.helper.call("let a VM reach what it asked for", |client| {
                client.answers(slot, answers.clone())
            });
            // The rules hold all the same; the VM has to ask again.
            if let Err(error) = told {
                tracing::warn!(%slot, error = %chain(&error), "failed to keep open what names resolved to");
            }
        }
        Ok(())
    }

    /// Takes over from an earlier daemon: names of the VMs that are `live` are answered again, each with who made its
    /// network.
    pub(crate) fn take_over(&self, config: &Config, live: &[(Slot, VmSpec, Way)]) -> Result<(), Error> {
        // Known as live whether or not a helper is there now.
        for (slot, spec, _) in live {
            self.names.set(*slot, spec);
        }
        if let Some((_, _, way)) = live.first() {
            self.helper.take(*way);
            if *way == Way::Rootless {
                // It is this user's to start, and its VMs ask for names.
                self.helper.ensure()?;
            }
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
            self.serve(config, addresses, &mut serving)?;
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

    /// The network's addresses, with the resolver at work. The first time they are chosen, out of the way of what the host
    /// uses.
    fn prepare(
        &self,
        config: &Config,
        serving: &mut Option<Serving>,
        notes: &mut Vec<String>,
    ) -> Result<Addresses, Error> {
        let addresses = self.addresses(config, notes)?;
        self.serve(config, &addresses, serving)?;
        Ok(addresses)
    }

    /// Answers VMs that ask for names, and learns where the resolvers lead.
    fn serve(
        &self,
        config: &Config,
        addresses: &Addresses,
        serving: &mut Option<Serving>,
    ) -> Result<(), Error> {
        let settings = Settings::of(config);
        self.around.resolve_by(settings.upstreams());
        self.around.tell();
        self.names.serve(addresses, settings, serving)
    }

    fn addresses(&self, config: &Config, notes: &mut Vec<String>) -> Result<Addresses, Error> {
        let status = self.helper.call("tell its state", |client| client.status())?;
        self.detach_strays(&status)?;
        let pool = config.tap_pool_size.min(64);
        if let Some(there) = status.network {
            // What VMs have stays while they have it.
            let wanted = config.subnet.is_none_or(|subnet| subnet == there.subnet);
            let is_free = status.withdrawn.is_none();
            if !status.attached.is_empty() || wanted && is_free && there.pool == pool {
                return Ok(there);
            }
        }
        let preferred = config.subnet.unwrap_or_default();
        let room = self.room()?;
        let subnet = preferred.free(&room.blocks, &room.used).ok_or(Error::NoSubnet)?;
        let addresses = Addresses {
            subnet,
            ula: room.ula,
            mtu: host::mtu(),
            pool,
        };
        self.helper
            .call("prepare a network", |client| client.prepare(addresses.clone()))?;
        if subnet != preferred {
            let is_in = room.blocks.iter().any(|block| block.covers(&preferred.cidr()));
            let why = match is_in {
                true => format!("this host uses {preferred} already"),
                // It is nobody's wish, unless it was said.
                false if config.subnet.is_none() => return Ok(addresses),
                false => format!(
                    "{preferred} of config.toml is outside the root helper's range \
                     (`sudo banger system install --range {preferred}` changes that)"
                ),
            };
            notes.push(format!("VMs have addresses of {subnet}: {why}"));
        }
        Ok(addresses)
    }

    /// Of which addresses a new network may be.
    fn room(&self) -> Result<Choices, Error> {
        let user = self.helper.user();
        let private = || Subnet::private().collect();
        if self.helper.way() == Way::Rootless {
            return Ok(Choices {
                blocks: private(),
                used: host::used_blocks(),
                ula: host::ula(user),
            });
        }
        let range = self
            .helper
            .call("say what addresses are free", |client| client.range())?;
        let used = range.used.iter().map(|used| used.net);
        Ok(Choices {
            blocks: range.room.map_or_else(private, |room| vec![room.v4]),
            used: used.collect(),
            ula: range.ula,
        })
    }
}

/// What a new network may be of.
struct Choices {
    blocks: Vec<Cidr>,
    used: Vec<Cidr>,
    ula: Ula,
}

/// Who takes note of flows.
struct Bookkeeper {
    names: Arc<Names>,
    egress: Arc<Egress>,
    database: Arc<Database>,
}

impl Taker for Bookkeeper {
    fn take(&self, flow: &Flow) {
        let peer = flow.destination.and_then(|address| self.names.reverse(address));
        // Before anyone is told of the flow, who may then ask what was learnt.
        if let Some(Learnt { vm, rules }) = self.egress.learnt(flow, peer.as_ref())
            && let Err(error) = self.database.learn(vm, &rules)
        {
            tracing::warn!(%vm, error = %chain(&error), "could not keep what a VM needs");
        }
        self.egress.seen(flow, peer.as_ref());
    }

    fn gap(&self) {
        self.egress.gap();
    }

    fn network(&self) -> Option<Addresses> {
        self.names.addresses()
    }
}

/// What is at the gateway of a user's own network is not the host.
fn refuse_host_ports(way: Way, rules: &Rules) -> Result<(), Error> {
    match rules.host_ports.first() {
        Some(&port) if way == Way::Rootless => Err(Error::HostPort { port }),
        _ => Ok(()),
    }
}

fn gateways(addresses: &Addresses) -> Vec<IpAddr> {
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
