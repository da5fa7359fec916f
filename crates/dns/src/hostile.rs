//! Answers as a hostile name server may write them: who owns an allowed name says what comes here, through any upstream.

use banger_model::network::{NetMode, Policy, is_refused, refused};
use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::rdata::svcb::{IpHint, SvcParamKey, SvcParamValue};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, HTTPS, MX, NULL, SOA, SRV, SVCB, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use proptest::prelude::*;

use crate::found::{Found, Key};
use crate::reply::{Reply, Transport};
use crate::request::{self, Received};
use crate::sift;

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

/// One record of many kinds, for the name that is asked for and for others.
fn answer(kind: RecordType) -> Message {
    let (www, edge) = (name("www.x.org."), name("edge.cdn.net."));
    let hints = vec![
        (
            SvcParamKey::Ipv4Hint,
            SvcParamValue::Ipv4Hint(IpHint(vec![A::new(10, 0, 0, 1)])),
        ),
        (
            SvcParamKey::Ipv6Hint,
            SvcParamValue::Ipv6Hint(IpHint(vec![AAAA::new(0xfd00, 0, 0, 0, 0, 0, 0, 1)])),
        ),
    ];
    let unknown = RData::Unknown {
        code: RecordType::Unknown(65_400),
        rdata: NULL::with(vec![7; 30]),
    };
    let data = [
        (&www, RData::CNAME(CNAME(edge.clone()))),
        (&edge, RData::A(A::new(203, 0, 113, 1))),
        (&edge, RData::A(A::new(10, 0, 0, 1))),
        (&edge, RData::AAAA(AAAA::new(0xfd00, 0, 0, 0, 0, 0, 0, 1))),
        (
            &www,
            RData::HTTPS(HTTPS(SVCB::new(1, edge.clone(), hints.clone()))),
        ),
        (&www, RData::SVCB(SVCB::new(0, edge.clone(), hints))),
        (&www, RData::TXT(TXT::new(vec!["x".repeat(200)]))),
        (&www, RData::MX(MX::new(10, edge.clone()))),
        (&www, RData::SRV(SRV::new(1, 2, 3, edge.clone()))),
        (&www, unknown),
    ];
    let mut message = Message::new(1, MessageType::Response, OpCode::Query);
    message.add_query(Query::query(www.clone(), kind));
    message.answers = data
        .into_iter()
        .map(|(owner, data)| Record::from_rdata(owner.clone(), 60, data))
        .collect();
    let soa = SOA::new(edge.clone(), edge, 1, 2, 3, 4, 5);
    message
        .authorities
        .push(Record::from_rdata(name("x.org."), 60, RData::SOA(soa)));
    message
}

/// Such an answer with some bytes changed.
fn mutated() -> impl Strategy<Value = (RecordType, Vec<u8>)> {
    let kinds = prop::sample::select(vec![
        RecordType::A,
        RecordType::AAAA,
        RecordType::HTTPS,
        RecordType::SVCB,
        RecordType::ANY,
        RecordType::TXT,
    ]);
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8);
    (kinds, changes).prop_map(|(kind, changes)| {
        let mut bytes = answer(kind).to_vec().unwrap();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        (kind, bytes)
    })
}

fn policy() -> Policy {
    Policy {
        mode: NetMode::Allow,
        allow: vec!["*.x.org".parse().unwrap()],
    }
}

/// Whether a hint of a service is left anywhere.
fn has_hint(data: &RData) -> bool {
    let service = match data {
        RData::HTTPS(https) => &https.0,
        RData::SVCB(service) => service,
        _ => return false,
    };
    service
        .svc_params
        .iter()
        .any(|(key, _)| matches!(key, SvcParamKey::Ipv4Hint | SvcParamKey::Ipv6Hint))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5000))]

    #[test]
    fn whatever_comes_leads_nowhere_inside_and_fits((kind, bytes) in mutated()) {
        let Ok(message) = Message::from_vec(&bytes) else { return Ok(()) };
        let key = Key { name: name("www.x.org."), kind };
        let found = Found::of(&key, message);
        let sifted = sift::sift(found.answers, &policy(), refused());
        prop_assert!(sifted.public.iter().all(|&(address, _)| !is_refused(address)));
        let mut asking = Message::new(9, MessageType::Query, OpCode::Query);
        asking.add_query(Query::query(key.name.clone(), kind));
        let asking = asking.to_vec().unwrap();
        let Received::Question(question) = request::read(&asking) else { panic!("a question") };
        for (transport, limit) in [(Transport::Udp, 512), (Transport::Tcp, 65_535)] {
            let reply = Reply { code: found.code, answers: sifted.records.clone(), ..Reply::default() };
            let bytes = reply.encode(&question, transport);
            prop_assert!(!bytes.is_empty() && bytes.len() <= limit);
            // As the VM reads it.
            let read = Message::from_vec(&bytes).unwrap();
            let inside = |record: &Record| sift::address(record).is_some_and(is_refused) || has_hint(&record.data);
            prop_assert!(!read.answers.iter().any(inside), "{read:?}");
        }
    }
}
