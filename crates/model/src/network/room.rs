//! Of which addresses an owner's network is: a part of the room that root gave at installation.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net};
use serde::{Deserialize, Serialize};

use super::{Cidr, InvalidSubnet, Subnet, Ula};

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
    /// Whether all of a block is in the room.
    pub fn holds(&self, block: &Cidr) -> bool {
        match block.first() {
            IpAddr::V4(_) => self.v4.covers(block),
            IpAddr::V6(_) => self.v6.is_none_or(|v6| v6.covers(block)),
        }
    }

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
    #[error("invalid address range `{0}`: expected IPV4-BLOCK[,IPV6-BLOCK], such as {DEFAULT}")]
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
