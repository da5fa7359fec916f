//! Which addresses an owner's network may take: a part of the room that root gave at installation, as long as nothing else
//! of the host's uses it. Pure; what the host uses is looked up by the root helper.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net};
use serde::{Deserialize, Serialize};

use super::{Cidr, InvalidSubnet, Network, Subnet, Ula};

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

/// The addresses of which an owner's network takes some: root's decision, made when the helper is installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Room {
    /// Those of IPv4.
    pub v4: Cidr,
    /// Of IPv6; if none, the one network that follows from the host and the owner.
    v6: Option<Cidr>,
}

/// The room by default, and the addresses of which one of IPv6 may be.
const DEFAULT: &str = "172.16.0.0/16";
const LOCAL: &str = "fd00::/8";

impl Room {
    /// The room with a block of IPv6 where it has none.
    pub fn or_v6(self, ula: Ula) -> Self {
        let v6 = self.v6.or(Some(ula.cidr()));
        Self { v6, ..self }
    }

    /// The network of unique local addresses for what follows from a seed: in the room.
    pub fn ula(&self, seed: Ula) -> Ula {
        let Some(v6) = self.v6.filter(|v6| !v6.covers(&seed.cidr())) else {
            return seed;
        };
        let (IpNet::V6(v6), IpNet::V6(own)) = (v6.0, seed.cidr().0) else {
            return seed;
        };
        // The room's own bits, and of the rest those of the seed.
        let bits = v6.addr().to_bits() | (own.addr().to_bits() & v6.hostmask().to_bits());
        let ula = Cidr::around(Ipv6Addr::from_bits(bits).into(), 64).map(Ula::try_from);
        ula.and_then(Result::ok).unwrap_or(seed)
    }
}

impl Default for Room {
    fn default() -> Self {
        Self {
            v4: Cidr(Ipv4Net::new_assert(Ipv4Addr::new(172, 16, 0, 0), 16).into()),
            v6: None,
        }
    }
}

/// A text that is no room for networks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRoom {
    /// A part of it is no block of addresses.
    #[error(transparent)]
    Block(#[from] InvalidSubnet),
    /// More than one of a family, or none of IPv4.
    #[error(
        "`{0}` is not a range: use one IPv4 block, and at most one IPv6 block behind a comma, such as {DEFAULT}"
    )]
    Blocks(String),
}

impl FromStr for Room {
    type Err = InvalidRoom;

    fn from_str(text: &str) -> Result<Self, InvalidRoom> {
        let (mut v4, mut v6) = (None, None);
        for part in text.split(',').map(str::trim) {
            let block: Cidr = part.parse().map_err(InvalidSubnet::from)?;
            let place = match block.first() {
                IpAddr::V4(_) => {
                    Subnet::check_room(block)?;
                    &mut v4
                }
                IpAddr::V6(_) => {
                    let local = LOCAL.parse().is_ok_and(|local: Cidr| local.covers(&block));
                    if !local || block.prefix() > 64 {
                        return Err(InvalidSubnet::NotLocal(block).into());
                    }
                    &mut v6
                }
            };
            if place.replace(block).is_some() {
                return Err(InvalidRoom::Blocks(text.to_owned()));
            }
        }
        let v4 = v4.ok_or_else(|| InvalidRoom::Blocks(text.to_owned()))?;
        Ok(Self { v4, v6 })
    }
}

impl fmt::Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.v4.fmt(f)?;
        self.v6.map_or(Ok(()), |v6| write!(f, ",{v6}"))
    }
}

as_text!(Room);

/// Why the network may not have its addresses: in a room, if there is one, and beside what the host uses.
pub fn conflict(network: &Network, room: Option<&Room>, uses: &[Use]) -> Option<Conflict> {
    let blocks = [network.subnet.cidr(), network.ula.cidr()];
    let inside = |room: &Room, block: &Cidr| match block.first() {
        IpAddr::V4(_) => room.v4.covers(block),
        IpAddr::V6(_) => room.v6.is_none_or(|v6| v6.covers(block)),
    };
    let outside = room.and_then(|room| {
        let block = blocks.iter().find(|block| !inside(room, block))?;
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

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_room_is_a_private_block_and_perhaps_a_local_one() {
        for text in [
            "10.0.0.0/8",
            "172.16.0.0/16",
            "192.168.4.0/29",
            "10.1.0.0/16,fd12:3456::/32",
        ] {
            assert_eq!(text.parse::<Room>().unwrap().to_string(), text);
        }
        assert_eq!(Room::default().to_string(), DEFAULT);
        for text in [
            "",
            "10.0.0.0",
            "0.0.0.0/0",
            "8.8.8.0/24",
            "172.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "224.0.0.0/8",
            "192.168.0.0/30",
            "fd00::/8",
            "10.0.0.0/8,10.1.0.0/16",
            "10.0.0.0/8,2001:db8::/64",
            "10.0.0.0/8,fc00::/7",
            "10.0.0.0/8,fd00::/80",
            "10.0.0.0/8,",
            "10.0.0.1/8",
            "10.0.0.0/8;10.1.0.0/16",
            "10.0.0.0/-1",
            "10.0.0.0/33",
        ] {
            assert!(text.parse::<Room>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_local_network_is_in_the_room_and_differs_by_its_seed() {
        let room: Room = "10.0.0.0/8,fd12:3456:789a::/48".parse().unwrap();
        let of = |seed: &[u8]| room.ula(Ula::from_seed(seed));
        assert!(
            of(b"a").to_string().starts_with("fd12:3456:789a:"),
            "{}",
            of(b"a")
        );
        assert_ne!(of(b"a"), of(b"b"));
        let seed = Ula::from_seed(b"a");
        assert_eq!(Room::default().or_v6(seed).ula(seed), seed);
        let one: Room = "10.0.0.0/8,fd12::/64".parse().unwrap();
        assert_eq!(one.ula(seed).to_string(), "fd12::/64");
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
