//! A VM's start and its end: what the helper is asked to do for it.

use std::sync::PoisonError;

use banger_guest_api as guest;
use banger_model::network::{Cidr, MAX_POOL, Mac, NetMode, Network as Addresses, Slot, Subnet, Ula};
use banger_model::{VmSpec, chain};
use banger_netplan::Rules;
use banger_root::wire::{Attach, MAX_ANSWERS, Status};
use banger_vmm::{Card, ProcessId};

use crate::error::Error;
use crate::host;
use crate::names::{self, Serving};
use crate::network::Network;
use crate::records::Records;
use crate::settings::Settings;
use crate::way::Way;

/// A VM's place in the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attached {
    /// Its slot.
    pub slot: Slot,
    /// What its VMM is told.
    pub card: Card,
    /// What its guest is told.
    pub guest: guest::Network,
    /// What its user is told, if anything.
    pub notes: Vec<String>,
    /// Who made the network.
    pub way: Way,
    /// Why not the root helper, when nobody asked for that.
    pub because: Option<String>,
}

impl Network {
    /// Gives a VM its card. Doing it again is no harm.
    pub fn attach(
        &self,
        settings: &Settings,
        records: &dyn Records,
        spec: &VmSpec,
        rules: Rules,
    ) -> Result<Attached, Error> {
        // One at a time: two would choose addresses for themselves, and one take the other for a stray.
        let mut serving = self.serving.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = !self.names.any();
        let (way, because) = self.choose(settings.choice, needs_card(rules.mode), &mut serving)?;
        refuse_host_ports(way, &rules)?;
        let mut notes = Vec::new();
        if let Some(why) = because.as_ref().filter(|_| is_first) {
            notes.push(format!("VMs use the rootless network: {why}"));
        }
        let within = match way {
            Way::Helper => None,
            Way::Rootless => Some(self.enter(&mut notes)?),
        };
        let addresses = self.prepare(settings, &mut serving, &mut notes)?;
        let slot = records
            .slot(spec.id, addresses.subnet.capacity())
            .map_err(Error::Slot)?
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
                gateways: addresses.gateways().into(),
                mtu: addresses.mtu,
                resolvers: addresses.gateways().into(),
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
            reason: "the rootless network has just ended".to_owned(),
            hints: vec!["try again".to_owned()],
        })?;
        if let Err(why) = rootless.outside().open(&helper) {
            notes.push(format!("VMs have no network access: {why}"));
        }
        Ok(helper)
    }

    /// Why VMs reach nothing for now, if the helper withdrew their network.
    pub fn why_withdrawn(&self) -> Option<String> {
        let status = self
            .helper
            .call_if_there("report its state", |client| client.status());
        status?.ok()?.withdrawn
    }

    /// Takes a VM's card away; one that has none is no failure, nor is a helper that is not there.
    pub fn detach(&self, slot: Slot) -> Result<(), Error> {
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
    pub fn policy(&self, slot: Slot, spec: &VmSpec, rules: &Rules) -> Result<(), Error> {
        refuse_host_ports(self.helper.way(), rules)?;
        let alive = self.names.alive(slot);
        self.helper.call("change the network rules of a VM", |client| {
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
            let told = self
                .helper
                .call("allow the addresses that a name resolved to", |client| {
                    client.answers(slot, answers.clone())
                });
            // The rules hold all the same; the VM has to ask again.
            if let Err(error) = told {
                tracing::warn!(%slot, error = %chain(&error), "failed to keep the addresses allowed that names resolved to");
            }
        }
        Ok(())
    }

    /// Takes over from an earlier daemon: names of the VMs that are `live` are answered again, each with who made its
    /// network.
    pub fn take_over(&self, settings: &Settings, live: &[(Slot, VmSpec, Way)]) -> Result<(), Error> {
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
            .call_if_there("report its state", |client| client.status())
        else {
            return Ok(());
        };
        let status = status?;
        if let Some(addresses) = status.network.as_ref().filter(|_| !live.is_empty()) {
            self.serve(settings, addresses, &mut serving)?;
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
        settings: &Settings,
        serving: &mut Option<Serving>,
        notes: &mut Vec<String>,
    ) -> Result<Addresses, Error> {
        let addresses = self.addresses(settings, notes)?;
        self.serve(settings, &addresses, serving)?;
        Ok(addresses)
    }

    /// Answers VMs that ask for names, and learns where the resolvers lead.
    fn serve(
        &self,
        settings: &Settings,
        addresses: &Addresses,
        serving: &mut Option<Serving>,
    ) -> Result<(), Error> {
        let resolver = &settings.resolver;
        self.around.resolve_by(&resolver.upstreams);
        self.around.tell();
        self.names.serve(addresses, resolver.clone(), serving)
    }

    fn addresses(&self, settings: &Settings, notes: &mut Vec<String>) -> Result<Addresses, Error> {
        let status = self.helper.call("report its state", |client| client.status())?;
        self.detach_strays(&status)?;
        let pool = settings.pool.min(MAX_POOL);
        if let Some(there) = status.network {
            // What VMs have stays while they have it.
            let wanted = settings.subnet.is_none_or(|subnet| subnet == there.subnet);
            let is_free = status.withdrawn.is_none();
            if !status.attached.is_empty() || wanted && is_free && there.pool == pool {
                return Ok(there);
            }
        }
        let preferred = settings.subnet.unwrap_or_default();
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
                true => format!("this host already uses {preferred}"),
                // It is nobody's wish, unless it was said.
                false if settings.subnet.is_none() => return Ok(addresses),
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
            .call("list the allowed address ranges", |client| client.range())?;
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

/// What is at the gateway of a user's own network is not the host.
fn refuse_host_ports(way: Way, rules: &Rules) -> Result<(), Error> {
    match rules.host_ports.first() {
        Some(&port) if way == Way::Rootless => Err(Error::HostPort { port }),
        _ => Ok(()),
    }
}

/// Whether a VM with these rules must have a card.
pub fn needs_card(mode: NetMode) -> bool {
    mode != NetMode::Off
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rootless_network_has_no_way_to_ports_of_the_host() {
        let of_host = Rules {
            host_ports: [8080].into(),
            ..Rules::default()
        };
        let refused = refuse_host_ports(Way::Rootless, &of_host);
        assert!(
            matches!(refused, Err(Error::HostPort { port: 8080 })),
            "{refused:?}"
        );
        assert!(refuse_host_ports(Way::Helper, &of_host).is_ok());
        assert!(refuse_host_ports(Way::Rootless, &Rules::default()).is_ok());
    }
}
