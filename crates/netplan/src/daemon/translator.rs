//! How an IPv6-only network leads to IPv4: a prefix in which addresses embed those of IPv4 (RFC 6052). A network has the public
//! one, which every host refuses and allows by what it embeds, or one of its own, which its resolvers (RFC 7050) or its routers
//! (RFC 8781) tell of.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use banger_model::network::{Cidr, Surroundings};

/// The name that has IPv4 addresses alone, so that what a resolver has of IPv6 for it embeds these.
pub const IPV4_ONLY: &str = "ipv4only.arpa.";
const WELL_KNOWN: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 0, 0, 170), Ipv4Addr::new(192, 0, 0, 171)];
/// How long prefixes may be.
const LENGTHS: [u8; 6] = [32, 40, 48, 56, 64, 96];
/// An option of router advertisements (RFC 8781): its type, and its length in units of eight bytes.
const PREF64: [u8; 2] = [38, 2];
/// Which length a prefix has by the last three bits of the option's lifetime.
const BY_CODE: [u8; 6] = [96, 64, 56, 48, 40, 32];
/// Of an address, the bits but the eight that are always zero where a prefix is not of 96 bits.
const LOWER: u32 = 56;

/// A prefix by which a network leads to IPv4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Translator {
    prefix: Ipv6Addr,
    length: u8,
}

impl Translator {
    /// That of the first bits of an address; none if a prefix cannot be so long.
    pub fn new(address: Ipv6Addr, length: u8) -> Option<Self> {
        let known = LENGTHS.contains(&length);
        let mask = u128::MAX << (128 - u32::from(length.clamp(1, 128)));
        known.then(|| Self {
            prefix: Ipv6Addr::from_bits(address.to_bits() & mask),
            length,
        })
    }

    /// Those by which a resolver may have made this address of [`IPV4_ONLY`].
    pub fn of_ipv4_only(address: Ipv6Addr) -> impl Iterator<Item = Self> {
        let all = LENGTHS
            .into_iter()
            .filter_map(move |length| Self::new(address, length));
        all.filter(move |own| WELL_KNOWN.contains(&own.embedded(address)))
    }

    /// What a router announces by one option of its, and for how many seconds; none if it is another option.
    pub fn of_option(option: &[u8]) -> Option<(Self, u64)> {
        let (head, rest) = option.split_first_chunk::<4>()?;
        let [kind, length, high, low] = *head;
        let scaled = u16::from_be_bytes([high, low]);
        let mut prefix = [0; 16];
        prefix[..12].copy_from_slice(rest.first_chunk::<12>()?);
        let code = BY_CODE.get(usize::from(scaled & 7))?;
        let own = Self::new(prefix.into(), *code)?;
        ([kind, length] == PREF64).then(|| (own, u64::from(scaled & !7)))
    }

    /// The IPv4 address that an address embeds.
    fn embedded(self, address: Ipv6Addr) -> Ipv4Addr {
        let bits = address.to_bits();
        let bits = match self.length {
            96 => bits,
            length => without_zeroes(bits) >> (120 - 32 - u32::from(length)),
        };
        Ipv4Addr::from_bits(bits as u32)
    }

    /// The addresses that embed those of a block of IPv4.
    fn embed(self, block: &Cidr) -> Option<Cidr> {
        let IpAddr::V4(first) = block.first() else {
            return None;
        };
        let (prefix, v4_bits) = (self.prefix.to_bits(), u128::from(first.to_bits()));
        let length = self.length + block.prefix();
        let (bits, length) = match self.length {
            96 => (prefix | v4_bits, length),
            own => {
                let bits = without_zeroes(prefix) | (v4_bits << (120 - 32 - u32::from(own)));
                (with_zeroes(bits), if length > 64 { length + 8 } else { length })
            }
        };
        Cidr::around(Ipv6Addr::from_bits(bits).into(), length)
    }
}

impl fmt::Display for Translator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.prefix, self.length)
    }
}

/// An address without the bits 64 to 71.
const fn without_zeroes(bits: u128) -> u128 {
    ((bits >> 64) << LOWER) | (bits & ((1 << LOWER) - 1))
}

/// The reverse.
const fn with_zeroes(bits: u128) -> u128 {
    ((bits >> LOWER) << 64) | (bits & ((1 << LOWER) - 1))
}

/// All by which these lead to what is refused on a host with these surroundings.
pub fn refused_by(translators: &BTreeSet<Translator>, around: &Surroundings) -> BTreeSet<Cidr> {
    let refused = around.refused();
    let embed = |own: &Translator| {
        let own = *own;
        refused.blocks().iter().filter_map(move |block| own.embed(block))
    };
    let mut all: BTreeSet<Cidr> = translators.iter().flat_map(embed).collect();
    // What is refused anyway need not be said.
    all.retain(|block| !refused.covers(block));
    all
}

/// The translators that a resolver's addresses of [`IPV4_ONLY`] tell of.
pub fn translators(addresses: impl IntoIterator<Item = IpAddr>) -> BTreeSet<Translator> {
    let v6 = addresses.into_iter().filter_map(|address| match address {
        IpAddr::V6(v6) => Some(v6),
        IpAddr::V4(_) => None,
    });
    v6.flat_map(Translator::of_ipv4_only).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn v6(text: &str) -> Ipv6Addr {
        text.parse().unwrap()
    }

    fn found(text: &str) -> Vec<String> {
        let all = translators([IpAddr::V6(v6(text))]);
        all.iter().map(Translator::to_string).collect()
    }

    /// The examples of RFC 6052, section 2.4, with the addresses of RFC 7050 in place of 192.0.2.33.
    #[test]
    fn a_prefix_is_found_in_what_a_resolver_says() {
        for (address, prefix) in [
            ("2001:db8:c000:aa::", "2001:db8::/32"),
            ("2001:db8:1c0:0:aa::", "2001:db8:100::/40"),
            ("2001:db8:122:c000:0:aa00::", "2001:db8:122::/48"),
            ("2001:db8:122:3c0:0:aa::", "2001:db8:122:300::/56"),
            ("2001:db8:122:344:c0:0:aa00::", "2001:db8:122:344::/64"),
            ("2001:db8:122:344::192.0.0.170", "2001:db8:122:344::/96"),
            ("2001:db8:122:344::192.0.0.171", "2001:db8:122:344::/96"),
            ("64:ff9b::192.0.0.170", "64:ff9b::/96"),
        ] {
            assert!(
                found(address).contains(&prefix.to_owned()),
                "{address}: {:?}",
                found(address)
            );
        }
        for other in [
            "2001:db8::1",
            "2001:db8::192.0.2.33",
            "::",
            "2001:db8:122:344::192.0.0.169",
        ] {
            assert_eq!(found(other), [""; 0], "{other}");
        }
    }

    #[test]
    fn private_addresses_are_refused_behind_every_prefix() {
        let around = Surroundings {
            own: ["198.51.100.7".parse().unwrap()].into(),
            ..Surroundings::default()
        };
        let refused = |length: u8, text: &str| {
            let own = Translator::new(v6("2a00:fe:dc:ba98:7654:3210::"), length).unwrap();
            let blocks = refused_by(&[own].into(), &around);
            let v4 = Cidr::host(text.parse::<IpAddr>().unwrap());
            let address = own.embed(&v4).unwrap();
            let of_it = IpAddr::V6(match address.first() {
                IpAddr::V6(v6) => v6,
                IpAddr::V4(v4) => panic!("{v4}"),
            });
            let IpAddr::V6(bits) = of_it else { panic!() };
            assert_eq!(own.embedded(bits).to_string(), text);
            blocks.iter().any(|block| block.contains(of_it))
        };
        for length in LENGTHS {
            for inside in [
                "10.1.2.3",
                "127.0.0.1",
                "169.254.169.254",
                "192.168.255.1",
                "168.63.129.16",
                "198.51.100.7",
            ] {
                assert!(refused(length, inside), "{inside} behind /{length}");
                banger_cases::refused("egress", &format!("translated.{length}.{inside}"));
            }
            for public in ["1.1.1.1", "93.184.216.34", "198.51.100.8", "172.32.0.1"] {
                assert!(!refused(length, public), "{public} behind /{length}");
            }
        }
    }

    /// RFC 8781, figure 1.
    #[test]
    fn a_prefix_is_found_in_what_a_router_announces() {
        let option = |code: u8, lifetime: u16| {
            let scaled = ((lifetime & !7) | u16::from(code)).to_be_bytes();
            [
                &[38, 2, scaled[0], scaled[1]][..],
                &v6("2001:db8:122:344::").octets()[..12],
            ]
            .concat()
        };
        let read = |bytes: &[u8]| Translator::of_option(bytes).map(|(own, time)| (own.to_string(), time));
        assert_eq!(
            read(&option(0, 1800)),
            Some(("2001:db8:122:344::/96".to_owned(), 1800))
        );
        assert_eq!(read(&option(3, 0)), Some(("2001:db8:122::/48".to_owned(), 0)));
        assert_eq!(read(&option(5, 65528)), Some(("2001:db8::/32".to_owned(), 65528)));
        let good = option(0, 8);
        for odd in [&good[..15], &option(6, 8), &option(7, 8), &[], &[25, 2, 0, 0]] {
            assert_eq!(read(odd), None);
        }
        let mut other = good;
        other[0] = 25;
        assert_eq!(read(&other), None);
    }

    proptest! {
        /// What is embedded is found again, a block's addresses lie in the block's, and no other's do.
        #[test]
        fn embedding_keeps_blocks_apart(prefix: u128, which in 0..6usize, v4: u32, len in 0..=32u8, other: u32) {
            // The eight bits are zero in a prefix of 96 bits too.
            let prefix = Ipv6Addr::from_bits(prefix & !(0xff << 56));
            let own = Translator::new(prefix, LENGTHS[which]).unwrap();
            let block = Cidr::around(Ipv4Addr::from_bits(v4).into(), len).unwrap();
            let embedded = own.embed(&block).unwrap();
            for bits in [v4, other] {
                let address = IpAddr::V4(Ipv4Addr::from_bits(bits));
                let IpAddr::V6(at) = own.embed(&Cidr::host(address)).unwrap().first() else { unreachable!() };
                prop_assert_eq!(own.embedded(at), Ipv4Addr::from_bits(bits));
                prop_assert_eq!(embedded.contains(at.into()), block.contains(address));
            }
        }
    }
}
