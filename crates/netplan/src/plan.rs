//! The plan of a user's network: what shall be on the host, and what is in its way: it takes a part of the room that root gave at
//! installation, as long as nothing else of the host's uses it. What the host uses is looked up by the root helper,
//! which also tells the daemon what it saw: that is put into words where nothing is privileged.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use banger_model::network::{Cidr, Mac, Network, Room, Slot, Surroundings};
use serde::{Deserialize, Serialize};

use crate::{Rules, filter::Element};

/// What shall be.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// The network.
    pub prepared: Option<Prepared>,
    /// Who is attached to it.
    pub members: BTreeMap<Slot, Member>,
    /// What is around the host that leads out. Looked at, never recorded.
    pub around: Surroundings,
    /// Whether this is a namespace of a user's own, which has no traffic but that of VMs.
    pub apart: bool,
    /// Why the network has no addresses for now, if someone else has them.
    pub withdrawn: Option<Conflict>,
    /// The group of the packet filter's log that is the owner's alone.
    pub log_group: u16,
}

impl Plan {
    /// The network, if there is one.
    pub fn network(&self) -> Option<&Network> {
        self.prepared.as_ref().map(|prepared| &prepared.network)
    }
}

/// The network, and what was there before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prepared {
    /// The network.
    pub network: Network,
    /// The host's settings that were changed for it, as they were, by their path below `/proc/sys`.
    pub before: BTreeMap<String, String>,
}

/// An attached VM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its card's address.
    pub mac: Mac,
    /// What it may reach.
    pub rules: Rules,
    /// Grows with each change of the rules: a connection bears the number under which it was allowed.
    pub generation: u16,
}

impl Member {
    /// A VM in the place of `old`, of another generation if its rules are others; of the `first` if there was none.
    pub fn after(old: Option<&Self>, mac: Mac, rules: Rules, first: u16) -> Self {
        let generation = match old {
            Some(old) if old.rules != rules => old.generation.wrapping_add(1),
            Some(old) => old.generation,
            None => first,
        };
        Self {
            mac,
            rules,
            generation,
        }
    }
}

/// Addresses that the host uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Use {
    /// The addresses.
    pub net: Cidr,
    /// What they are to the host, in words: `is a gateway of this host`. Not for who only keeps out of their way.
    #[serde(skip)]
    pub by: String,
}

/// Why a network may not have its addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// They are not in the room that root gave.
    #[error("{0} is outside the range {1} that was fixed when the root helper was installed")]
    Outside(Cidr, Room),
    /// Someone else has them.
    #[error("{0} overlaps {net}, which {by}", net = .1.net, by = .1.by)]
    Used(Cidr, Use),
}

/// Why the network may not have its addresses: in a room, if there is one, and beside what the host uses.
pub fn conflict(network: &Network, room: Option<&Room>, uses: &[Use]) -> Option<Conflict> {
    let blocks = [network.subnet.cidr(), network.ula.cidr()];
    let outside = room.and_then(|room| {
        let block = blocks.iter().find(|block| !room.holds(block))?;
        Some(Conflict::Outside(*block, *room))
    });
    outside.or_else(|| {
        let meets = |used: &Use| {
            let block = blocks.iter().find(|block| used.net.overlaps(block))?;
            Some(Conflict::Used(*block, used.clone()))
        };
        uses.iter().find_map(meets)
    })
}

/// The resolvers that a file names: as resolv.conf(5) does, or as systemd keeps them (`DNS=` and `SERVERS=`, several in a line,
/// each perhaps with a port, a link and a name). Names of hosts and what is no address say nothing.
pub fn resolvers(text: &str) -> impl Iterator<Item = IpAddr> {
    text.lines().flat_map(|line| {
        let line = line.trim();
        let values = ["DNS=", "SERVERS="].iter().find_map(|key| line.strip_prefix(key));
        let values = values.or_else(|| {
            let rest = line.strip_prefix("nameserver")?;
            rest.starts_with(char::is_whitespace).then_some(rest)
        });
        values.unwrap_or_default().split_whitespace().filter_map(resolver)
    })
}

/// An address, perhaps with a port, behind `%` its link, and behind `#` its name.
fn resolver(word: &str) -> Option<IpAddr> {
    let bare = word.split(['%', '#']).next()?;
    let v6 = || bare.strip_prefix('[')?.split_once(']')?.0.parse().ok();
    let v4 = || bare.split_once(':')?.0.parse().ok();
    let address: Option<IpAddr> = bare.parse().ok().or_else(v6).or_else(v4);
    Some(address?.to_canonical())
}

/// The host beside the plan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    /// Whose network it is.
    pub owner: u32,
    /// What is still to do, in words.
    pub steps: Vec<String>,
    /// What the sets and maps of the packet filter shall hold.
    pub elements: BTreeSet<Element>,
    /// The owner's tables as `nft` listed them when they had just been loaded.
    pub loaded: String,
    /// The same now, and what others hook into forwarding; none where there is no network.
    pub listing: Option<String>,
    /// Why the host does not find VMs by name, if it is known not to.
    pub unresolved: Option<String>,
    /// Why the network has no addresses, if it has none, and whether it is because of the range that root gave.
    pub withdrawn: Option<(String, bool)>,
}

/// A packet that the filter logged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logged {
    /// The VM whose TAP it came by, where that is known.
    pub port: Option<Slot>,
    /// What the filter's rule says.
    pub prefix: Vec<u8>,
    /// Its first bytes.
    pub packet: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use banger_model::network::Ula;

    #[test]
    fn connections_outlive_no_change_of_the_rules() {
        let mac: Mac = "06:00:00:00:00:01".parse().unwrap();
        let first = Member::after(None, mac, Rules::default(), u16::MAX);
        let same = Member::after(Some(&first), mac, Rules::default(), 7);
        assert_eq!((first.generation, same.generation), (u16::MAX, u16::MAX));
        let ports = Rules {
            host_ports: [80].into(),
            ..Rules::default()
        };
        assert_eq!(Member::after(Some(&first), mac, ports, 7).generation, 0);
    }

    fn network(subnet: &str) -> Network {
        Network {
            subnet: subnet.parse().unwrap(),
            ula: Ula::from_seed(b"test"),
            mtu: 1500,
            pool: 0,
        }
    }

    fn used(net: &str, by: &str) -> Use {
        let (net, by) = (net.parse().unwrap(), by.to_owned());
        Use { net, by }
    }

    #[test]
    fn a_network_is_in_the_room_and_nobody_elses() {
        let room: Room = "172.16.0.0/16,fd00::/8".parse().unwrap();
        let refused = |subnet: &str, uses: &[Use]| {
            conflict(&network(subnet), Some(&room), uses).map(|conflict| conflict.to_string())
        };
        assert_eq!(refused("172.16.0.0/24", &[]), None);
        let outside = refused("10.0.0.0/24", &[]).unwrap();
        assert!(
            outside.contains("10.0.0.0/24 is outside the range 172.16.0.0/16,fd00::/8"),
            "{outside}"
        );
        // A part of it is not enough.
        let narrow: Room = "172.16.0.0/24".parse().unwrap();
        assert!(conflict(&network("172.16.0.0/23"), Some(&narrow), &[]).is_some());
        let elsewhere: Room = "172.16.0.0/24,fd01::/64".parse().unwrap();
        assert!(matches!(
            conflict(&network("172.16.0.0/24"), Some(&elsewhere), &[]),
            Some(Conflict::Outside(block, _)) if block.first().is_ipv6()
        ));
        for (net, words) in [
            ("172.16.0.0/12", "this host reaches by a route"),
            ("172.16.0.1/32", "is a resolver of this host (/etc/resolv.conf)"),
            ("fd00::/8", "is in a routing rule of this host"),
        ] {
            let told = refused(
                "172.16.0.0/24",
                &[used("10.0.0.0/8", "is another"), used(net, words)],
            )
            .unwrap();
            assert!(
                told.contains(words) && told.contains(net.trim_end_matches("/32")),
                "{told}"
            );
        }
        assert_eq!(
            refused("172.16.0.0/24", &[used("172.16.1.0/24", "is another")]),
            None
        );
    }

    #[test]
    fn resolvers_are_read_from_every_form() {
        let text = "# nameserver 10.0.0.9\nnameserver 10.0.0.1\n  nameserver\tfd00::53%eth0 \nnameserverx 10.0.0.8\n\
                    search 10.0.0.7\nDNS=10.0.0.2 [fd00::2]:53#name 10.0.0.3:5353#dns.example\nSERVERS=::ffff:10.0.0.4\nDNS=x";
        let found: Vec<String> = resolvers(text).map(|address| address.to_string()).collect();
        assert_eq!(
            found,
            [
                "10.0.0.1", "fd00::53", "10.0.0.2", "fd00::2", "10.0.0.3", "10.0.0.4"
            ]
        );
    }
}
