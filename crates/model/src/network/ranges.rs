//! Ranges of addresses, and their difference and union: a packet filter's interval sets must not overlap.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Cidr;

/// All addresses from `first` to `last`, both of one family, `first` not beyond `last`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Range {
    /// The first address.
    pub first: IpAddr,
    /// The last address.
    pub last: IpAddr,
}

impl Range {
    /// What is left of this range without the addresses of `holes`.
    pub fn without(self, holes: impl IntoIterator<Item = Self>) -> Vec<Self> {
        let mut left = vec![self];
        for hole in holes {
            if hole.first.is_ipv4() != self.first.is_ipv4() {
                continue;
            }
            left = left.into_iter().flat_map(|range| range.around(hole)).collect();
        }
        left
    }

    /// The parts of this range before and after `hole`.
    fn around(self, hole: Self) -> Vec<Self> {
        if hole.last < self.first || self.last < hole.first {
            return vec![self];
        }
        let before = (self.first < hole.first).then(|| before(hole.first)).flatten();
        let after = (hole.last < self.last).then(|| after(hole.last)).flatten();
        [
            before.map(|last| Self { last, ..self }),
            after.map(|first| Self { first, ..self }),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// As the packet filter writes it: an address, a block where the range is one, else `first-last`.
impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = if self.first.is_ipv4() { 32 } else { 128 };
        let block = (0..=bits)
            .filter_map(|len| Cidr::new(self.first, len).ok())
            .find(|block| block.range() == *self);
        match block {
            Some(block) => write!(f, "{block}"),
            None => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

/// The same addresses as few ranges that neither overlap nor touch, in order.
pub fn merged(mut ranges: Vec<Range>) -> Vec<Range> {
    ranges.sort_unstable();
    let mut union: Vec<Range> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match union.last_mut() {
            Some(last)
                if last.first.is_ipv4() == range.first.is_ipv4()
                    && after(last.last).is_none_or(|next| range.first <= next) =>
            {
                last.last = last.last.max(range.last);
            }
            _ => union.push(range),
        }
    }
    union
}

fn before(address: IpAddr) -> Option<IpAddr> {
    Some(match address {
        IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits().checked_sub(1)?).into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits().checked_sub(1)?).into(),
    })
}

fn after(address: IpAddr) -> Option<IpAddr> {
    Some(match address {
        IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits().checked_add(1)?).into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits().checked_add(1)?).into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn block(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    #[test]
    fn a_block_without_others_is_what_lies_between() {
        let left = block("10.0.0.0/8")
            .range()
            .without([block("10.0.0.0/9").range(), block("10.255.0.0/16").range()]);
        let text: Vec<_> = left.iter().map(Range::to_string).collect();
        assert_eq!(text, ["10.128.0.0-10.254.255.255"]);
        assert!(
            block("10.1.0.0/16")
                .range()
                .without([block("10.0.0.0/8").range()])
                .is_empty()
        );
    }

    proptest! {
        /// Among the 256 addresses of a small network, difference and union agree with doing it one by one.
        #[test]
        fn difference_and_union_are_those_of_sets(parts in prop::collection::vec((0u8..=255, 24u8..=32), 0..6),
                                                  holes in prop::collection::vec((0u8..=255, 24u8..=32), 0..6)) {
            let blocks = |list: &[(u8, u8)]| -> Vec<Cidr> {
                list.iter().map(|&(at, len)| Cidr::around(Ipv4Addr::new(10, 0, 0, at).into(), len).unwrap()).collect()
            };
            let (parts, holes) = (blocks(&parts), blocks(&holes));
            let union = merged(parts.iter().flat_map(|part| part.range().without(holes.iter().map(Cidr::range))).collect());
            for at in 0..=255 {
                let address = IpAddr::V4(Ipv4Addr::new(10, 0, 0, at));
                let wanted = parts.iter().any(|b| b.contains(address)) && !holes.iter().any(|b| b.contains(address));
                let had = union.iter().filter(|r| r.first <= address && address <= r.last).count();
                prop_assert_eq!(had, usize::from(wanted));
            }
        }
    }
}
