//! The zone `vm.`: each running VM by its name, and its addresses by theirs.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use banger_model::VmName;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::{PTR, SOA};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use crate::reply::Reply;

/// How long an answer may be kept, in seconds: a VM may be gone by then.
const TTL: u32 = 5;
/// How long it may be kept that there is none: the VM may be about to start.
const NEGATIVE_TTL: u32 = 1;
/// The zone.
const ZONE: &str = "vm";

/// What a name is to the zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// Not in it.
    Outside,
    /// The zone's own name.
    Apex,
    /// Where a VM may be.
    Vm(VmName),
    /// Below it, where nothing is.
    Nowhere,
}

/// Where a name (in lower case) is.
pub(crate) fn place(name: &Name) -> Place {
    let mut labels = name.iter().rev();
    if labels.next() != Some(ZONE.as_bytes()) {
        return Place::Outside;
    }
    let Some(label) = labels.next() else {
        return Place::Apex;
    };
    let vm = std::str::from_utf8(label).ok().and_then(|text| text.parse().ok());
    match (vm, labels.next()) {
        (Some(vm), None) => Place::Vm(vm),
        _ => Place::Nowhere,
    }
}

/// The reply about a VM that has these addresses.
pub(crate) fn vm(name: &Name, kind: RecordType, addresses: &[IpAddr]) -> Reply {
    let is_asked = |address: &&IpAddr| match kind {
        RecordType::A => address.is_ipv4(),
        RecordType::AAAA => address.is_ipv6(),
        _ => kind == RecordType::ANY,
    };
    let record = |address: &IpAddr| Record::from_rdata(name.clone(), TTL, RData::from(*address));
    records(addresses.iter().filter(is_asked).map(record).collect())
}

/// The reply about the zone itself.
pub(crate) fn apex(name: &Name, kind: RecordType) -> Reply {
    match kind {
        RecordType::SOA | RecordType::ANY => records(vec![soa(name)]),
        _ => records(Vec::new()),
    }
}

/// The reply about an address whose VM is known.
pub(crate) fn reverse(name: &Name, kind: RecordType, vm: &VmName) -> Reply {
    let target = Name::from_labels([vm.as_str().as_bytes(), ZONE.as_bytes()]);
    match (kind, target) {
        (RecordType::PTR | RecordType::ANY, Ok(target)) => records(vec![Record::from_rdata(
            name.clone(),
            TTL,
            RData::PTR(PTR(target)),
        )]),
        _ => records(Vec::new()),
    }
}

/// The reply that there is no such name.
pub(crate) fn absent() -> Reply {
    Reply {
        code: ResponseCode::NXDomain,
        ..records(Vec::new())
    }
}

fn records(answers: Vec<Record>) -> Reply {
    let zone = Name::from_labels([ZONE.as_bytes()]).ok();
    let authorities = zone.filter(|_| answers.is_empty()).map(|zone| soa(&zone));
    Reply {
        authoritative: true,
        authorities: authorities.into_iter().collect(),
        answers,
        ..Reply::default()
    }
}

fn soa(zone: &Name) -> Record {
    let minute = 60;
    let data = SOA::new(
        zone.clone(),
        Name::root(),
        1,
        minute,
        minute,
        minute,
        NEGATIVE_TTL,
    );
    Record::from_rdata(zone.clone(), NEGATIVE_TTL, RData::SOA(data))
}

/// The address that a name (in lower case) of `in-addr.arpa.` or `ip6.arpa.` is the reverse of, if it is that of one.
pub(crate) fn reversed(name: &Name) -> Option<IpAddr> {
    let labels: Vec<&str> = name
        .iter()
        .rev()
        .map(|label| std::str::from_utf8(label).ok())
        .collect::<Option<_>>()?;
    match labels.split_first_chunk::<2>()? {
        (["arpa", "in-addr"], rest) => {
            let octets: Vec<u8> = rest
                .iter()
                .map(|label| label.parse().ok())
                .collect::<Option<_>>()?;
            Some(Ipv4Addr::from(<[u8; 4]>::try_from(octets).ok()?).into())
        }
        (["arpa", "ip6"], rest) if rest.len() == 32 && rest.iter().all(|label| label.len() == 1) => {
            let bits = u128::from_str_radix(&rest.concat(), 16).ok()?;
            Some(Ipv6Addr::from_bits(bits).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    #[test]
    fn a_name_has_its_place() {
        assert_eq!(place(&name("web-1.vm.")), Place::Vm("web-1".parse().unwrap()));
        assert_eq!(place(&name("vm.")), Place::Apex);
        for outside in [".", "vm.example.", "web.vmm."] {
            assert_eq!(place(&name(outside)), Place::Outside, "{outside}");
        }
        for nowhere in ["a.web.vm.", "_x.vm.", "a-.vm."] {
            assert_eq!(place(&name(nowhere)), Place::Nowhere, "{nowhere}");
        }
    }

    #[test]
    fn a_vm_is_answered_in_each_family_and_otherwise_with_the_soa() {
        let addresses = ["172.16.0.2".parse().unwrap(), "fd00::2".parse().unwrap()];
        let of = |kind| vm(&name("web.vm."), kind, &addresses);
        assert_eq!(of(RecordType::A).answers.len(), 1);
        assert_eq!(of(RecordType::AAAA).answers.len(), 1);
        assert_eq!(of(RecordType::ANY).answers.len(), 2);
        let other = of(RecordType::TXT);
        assert_eq!(
            (other.code, other.answers.len(), other.authorities.len()),
            (ResponseCode::NoError, 0, 1)
        );
        assert_eq!(absent().code, ResponseCode::NXDomain);
        assert_eq!(absent().authorities.len(), 1);
    }

    proptest! {
        #[test]
        fn an_address_is_found_by_its_reverse_name(bits: u128, v4: u32) {
            for address in [IpAddr::from(Ipv6Addr::from_bits(bits)), Ipv4Addr::from_bits(v4).into()] {
                prop_assert_eq!(reversed(&Name::from(address)), Some(address));
            }
        }

        #[test]
        fn nothing_else_is_a_reverse_name(text in "([0-9a-f+]{0,3}\\.){0,34}(ip6|in-addr)\\.arpa\\.") {
            if let Ok(name) = Name::from_ascii(&text) && let Some(address) = reversed(&name) {
                prop_assert_eq!(Name::from(address).num_labels(), name.num_labels());
            }
        }
    }
}
