//! What a VM is given of what was found: nothing that leads where no VM may go.

use std::net::IpAddr;

use banger_model::network::{Allow, Policy, Refused};
use hickory_proto::rr::rdata::SVCB;
use hickory_proto::rr::rdata::svcb::{SvcParamKey, SvcParamValue};
use hickory_proto::rr::{RData, Record};

use crate::found::MAX_TTL;
use crate::oracle::Answer;

/// The most addresses in one answer; no resolver of a C library looks at as many.
const MAX_ADDRESSES: usize = 64;
/// How much longer than the answer the packet filter lets a VM reach its addresses, in seconds: the answer travels,
/// and a program connects a moment after it has asked.
const GRACE: u32 = 30;

/// An answer as a VM gets it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sifted {
    pub(crate) records: Vec<Record>,
    /// The addresses in them that only a name can open, with how long they live.
    pub(crate) public: Vec<(IpAddr, u32)>,
    /// Every address in them.
    pub(crate) addresses: Vec<IpAddr>,
    /// Addresses that were taken out.
    pub(crate) withheld: Vec<IpAddr>,
}

/// Takes out of an answer the addresses that are refused to every VM, so that no outside name leads inside (DNS
/// rebinding), unless a rule of this VM names them by number; and hints of addresses beside those of A and AAAA.
pub(crate) fn sift(records: Vec<Record>, policy: &Policy, refused: &Refused) -> Sifted {
    let mut sifted = Sifted::default();
    for mut record in records {
        let Some(address) = address(&record) else {
            if let Some(data) = without_hints(record.data) {
                record.data = data;
                sifted.records.push(record);
            }
            continue;
        };
        let is_refused = refused.contains(address);
        if is_refused && !is_named(policy, address, refused) || sifted.addresses.len() == MAX_ADDRESSES {
            sifted.withheld.push(address);
            continue;
        }
        if !is_refused {
            sifted.public.push((address, record.ttl));
        }
        sifted.addresses.push(address);
        sifted.records.push(record);
    }
    sifted.withheld.truncate(MAX_ADDRESSES);
    sifted
}

/// What the packet filter has to let a VM reach: each address by each of the rules.
pub(crate) fn answers(rules: &[Allow], public: &[(IpAddr, u32)]) -> Vec<Answer> {
    let mut ports: Vec<Option<u16>> = rules.iter().map(Allow::port).collect();
    ports.sort_unstable();
    ports.dedup();
    if ports.first() == Some(&None) {
        ports.truncate(1);
    }
    let by_port = |port| {
        public.iter().map(move |&(address, ttl)| Answer {
            address,
            port,
            ttl: ttl.saturating_add(GRACE).min(MAX_TTL),
        })
    };
    ports.into_iter().flat_map(by_port).collect()
}

/// The address in a record.
pub(crate) fn address(record: &Record) -> Option<IpAddr> {
    match &record.data {
        RData::A(a) => Some(a.0.into()),
        RData::AAAA(aaaa) => Some(aaaa.0.into()),
        _ => None,
    }
}

/// Whether a rule for addresses is about this one, in the way that the packet filter takes them: a block that is wider
/// than a refused one does not open it.
fn is_named(policy: &Policy, address: IpAddr, refused: &Refused) -> bool {
    policy.allow.iter().any(|rule| match rule {
        Allow::Net { net, .. } => net.contains(address) && refused.covers(net),
        _ => false,
    })
}

/// A record of HTTPS or SVCB without the addresses that it hints at; none if it cannot be without.
fn without_hints(data: RData) -> Option<RData> {
    match data {
        RData::HTTPS(mut https) => {
            https.0 = service_without_hints(https.0)?;
            Some(RData::HTTPS(https))
        }
        RData::SVCB(service) => service_without_hints(service).map(RData::SVCB),
        other => Some(other),
    }
}

fn service_without_hints(mut service: SVCB) -> Option<SVCB> {
    let is_hint = |key: &SvcParamKey| matches!(key, SvcParamKey::Ipv4Hint | SvcParamKey::Ipv6Hint);
    let needs_hint = service.svc_params.iter().any(|(_, value)| match value {
        SvcParamValue::Mandatory(mandatory) => mandatory.0.iter().any(is_hint),
        _ => false,
    });
    service.svc_params.retain(|(key, _)| !is_hint(key));
    (!needs_hint).then_some(service)
}

#[cfg(test)]
mod tests {
    use super::*;
    use banger_model::network::{NetMode, is_refused, refused};
    use hickory_proto::rr::Name;
    use hickory_proto::rr::rdata::svcb::{Alpn, IpHint, Mandatory};
    use hickory_proto::rr::rdata::{A, HTTPS};
    use proptest::prelude::*;
    use std::net::Ipv4Addr;

    fn policy(allow: &[&str]) -> Policy {
        Policy {
            mode: NetMode::Allow,
            allow: allow.iter().map(|text| text.parse().unwrap()).collect(),
        }
    }

    fn record(data: RData) -> Record {
        Record::from_rdata(Name::root(), 60, data)
    }

    fn of(addresses: &[&str]) -> Vec<Record> {
        let data = |text: &&str| record(RData::from(text.parse::<IpAddr>().unwrap()));
        addresses.iter().map(data).collect()
    }

    fn text(addresses: &[IpAddr]) -> Vec<String> {
        addresses.iter().map(IpAddr::to_string).collect()
    }

    #[test]
    fn addresses_inside_are_withheld() {
        let records = of(&[
            "203.0.113.7",
            "10.1.2.3",
            "169.254.169.254",
            "::1",
            "::ffff:1.1.1.1",
            "2001:db8::1",
        ]);
        let sifted = sift(records, &policy(&[]), refused());
        assert_eq!(text(&sifted.addresses), ["203.0.113.7", "2001:db8::1"]);
        assert_eq!(sifted.records.len(), 2);
        assert_eq!(sifted.withheld.len(), 4);
    }

    #[test]
    fn a_rule_by_number_opens_the_inside_to_names_and_is_not_repeated() {
        let inside = || of(&["10.1.2.3", "10.9.0.1"]);
        let sifted = sift(inside(), &policy(&["10.1.0.0/16:5432"]), refused());
        assert_eq!(text(&sifted.addresses), ["10.1.2.3"]);
        assert!(sifted.public.is_empty());
        // Everything is everything but what is refused.
        assert!(
            sift(inside(), &policy(&["0.0.0.0/0"]), refused())
                .addresses
                .is_empty()
        );
    }

    #[test]
    fn each_rule_gives_its_port_and_one_without_gives_all() {
        let rules = |texts: &[&str]| policy(texts).allow;
        let public = [("203.0.113.7".parse().unwrap(), 60)];
        let ports = |texts: &[&str]| -> Vec<Option<u16>> {
            let answers = answers(&rules(texts), &public);
            assert!(answers.iter().all(|answer| answer.ttl == 90));
            answers.iter().map(|answer| answer.port).collect()
        };
        assert_eq!(
            ports(&["x.org:443", "*.org:80", "x.org:443"]),
            [Some(80), Some(443)]
        );
        assert_eq!(ports(&["x.org:443", "*.org"]), [None]);
        assert!(answers(&[], &public).is_empty());
    }

    #[test]
    fn hints_go_and_what_needs_them_goes_with_them() {
        let hint = (
            SvcParamKey::Ipv4Hint,
            SvcParamValue::Ipv4Hint(IpHint(vec![A(Ipv4Addr::LOCALHOST)])),
        );
        let alpn = (
            SvcParamKey::Alpn,
            SvcParamValue::Alpn(Alpn(vec!["h2".to_owned()])),
        );
        let needs = (
            SvcParamKey::Mandatory,
            SvcParamValue::Mandatory(Mandatory(vec![SvcParamKey::Ipv4Hint])),
        );
        let https = |params| record(RData::HTTPS(HTTPS(SVCB::new(1, Name::root(), params))));
        let sifted = sift(
            vec![https(vec![alpn.clone(), hint.clone()]), https(vec![needs, hint])],
            &policy(&[]),
            refused(),
        );
        assert_eq!(sifted.records, [https(vec![alpn])]);
    }

    proptest! {
        #[test]
        fn nothing_refused_comes_through(addresses in prop::collection::vec(any::<u128>(), 0..80), v4 in prop::collection::vec(any::<u32>(), 0..80)) {
            let all = addresses.into_iter().map(|bits| IpAddr::from(bits.to_be_bytes()))
                .chain(v4.into_iter().map(|bits| IpAddr::from(bits.to_be_bytes())));
            let sifted = sift(all.map(|address| record(RData::from(address))).collect(), &policy(&["x.org", "0.0.0.0/0"]), refused());
            prop_assert!(sifted.records.iter().filter_map(address).all(|address| !is_refused(address)));
            prop_assert_eq!(sifted.records.len(), sifted.addresses.len());
            prop_assert!(sifted.addresses.len() <= MAX_ADDRESSES);
        }
    }
}
