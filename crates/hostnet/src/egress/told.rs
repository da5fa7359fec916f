//! Which names a VM was told which addresses for.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use banger_model::network::DomainName;
use std::sync::Arc;

/// How many addresses a generation has.
const ADDRESSES: usize = 1024;
/// How many names are kept of one address.
const NAMES: usize = 4;
/// How long after an answer a program may connect, so that names which were asked for together cannot be told apart.
const TOGETHER: Duration = Duration::from_secs(10);

type Named = Vec<(Arc<DomainName>, Instant)>;

/// The names of addresses, the latest first. A VM asks as often as it likes: what it was told is kept in two generations,
/// of which the older one is dropped when the younger one is full.
#[derive(Debug, Default)]
pub(crate) struct Told {
    young: HashMap<IpAddr, Named>,
    old: HashMap<IpAddr, Named>,
}

impl Told {
    /// The VM was given these addresses for a name.
    pub(crate) fn note(&mut self, name: &Arc<DomainName>, addresses: &[IpAddr], now: Instant) {
        for address in addresses {
            if !self.young.contains_key(address) {
                if self.young.len() == ADDRESSES {
                    self.old = std::mem::take(&mut self.young);
                }
                let before = self.old.remove(address).unwrap_or_default();
                self.young.insert(*address, before);
            }
            let names = self.young.entry(*address).or_default();
            names.retain(|(other, _)| other != name);
            names.insert(0, (Arc::clone(name), now));
            names.truncate(NAMES);
        }
    }

    /// Every name that an address was given for.
    pub(crate) fn all(&self, address: IpAddr) -> impl Iterator<Item = &DomainName> {
        let named = self.young.get(&address).or_else(|| self.old.get(&address));
        named.into_iter().flatten().map(|(name, _)| &**name)
    }

    /// The names that an address was given for, the latest first; and how many of them, from the first on, a connection at
    /// this moment may be for.
    pub(crate) fn names(&self, address: IpAddr, now: Instant) -> (Vec<DomainName>, usize) {
        let named = self.young.get(&address).or_else(|| self.old.get(&address));
        let named = named.map(Vec::as_slice).unwrap_or_default();
        let recent = named
            .iter()
            .take_while(|(_, at)| now.saturating_duration_since(*at) < TOGETHER)
            .count();
        let names: Vec<DomainName> = named.iter().map(|(name, _)| (**name).clone()).collect();
        let recent = recent.max(1).min(names.len());
        (names, recent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Arc<DomainName> {
        Arc::new(text.parse().unwrap())
    }

    fn shown(told: &Told, address: IpAddr, now: Instant) -> String {
        let (names, recent) = told.names(address, now);
        let names: Vec<&str> = names.iter().map(DomainName::as_str).collect();
        format!("{} {recent}", names.join(" "))
    }

    #[test]
    fn the_latest_name_comes_first_and_those_asked_with_it_count() {
        let (mut told, start) = (Told::default(), Instant::now());
        let later = |seconds| start + Duration::from_secs(seconds);
        let address = IpAddr::from([203, 0, 113, 1]);
        assert_eq!(shown(&told, address, start), " 0");
        told.note(&name("a.org"), &[address], start);
        told.note(&name("b.org"), &[address], later(60));
        told.note(&name("c.org"), &[address], later(61));
        assert_eq!(shown(&told, address, later(62)), "c.org b.org a.org 2");
        // Nobody asked lately: it is the latest.
        assert_eq!(shown(&told, address, later(600)), "c.org b.org a.org 1");
        told.note(&name("a.org"), &[address], later(700));
        assert_eq!(shown(&told, address, later(700)), "a.org c.org b.org 1");
    }

    #[test]
    fn memory_is_bounded_and_what_is_new_is_kept() {
        let (mut told, now) = (Told::default(), Instant::now());
        let address = |number: u32| IpAddr::from((0x0b00_0000 + number).to_be_bytes());
        for number in 0..20_000 {
            told.note(
                &name(&format!("n{number}.org")),
                &[address(number), address(0)],
                now,
            );
        }
        assert!(told.young.len() + told.old.len() <= 2 * ADDRESSES);
        let all = told.young.values().chain(told.old.values());
        assert!(all.map(Vec::len).max() <= Some(NAMES));
        assert!(shown(&told, address(19_999), now).starts_with("n19999.org "));
        assert!(shown(&told, address(0), now).starts_with("n19999.org n19998.org "));
        assert_eq!(shown(&told, address(1), now), " 0");
    }
}
