//! What a VM may resolve, by its rules.

use std::net::IpAddr;
use std::sync::atomic::Ordering;

use banger_dns::{Refusal, Verdict};
use banger_model::network::NetMode;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType::{A, HTTPS};
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};

use crate::client::{ask, question, send, told, with_edns};
use crate::world::{HOST, World, guest};

fn addresses(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[tokio::test]
async fn without_a_network_every_name_is_refused_with_a_reason() {
    let world = World::new(&[(NetMode::Off, &["a.x.org", "vm:vm1"])]).await;
    for name in ["a.x.org.", "vm1.vm.", "1.0.16.172.in-addr.arpa."] {
        let question = with_edns(question(name, A), 1232);
        let answer = send(guest(1), world.server, &question).await;
        assert_eq!(answer.metadata.response_code, ResponseCode::Refused);
        let reason = answer.edns.unwrap().option(EdnsCode::Unknown(15)).cloned();
        let words = [b"\0\x12", &b"this VM has no network"[..]].concat();
        assert_eq!(reason, Some(EdnsOption::Unknown(15, words)));
        assert_eq!(world.last_verdict(), Verdict::Refused(Refusal::Off));
    }
    assert_eq!(world.upstream.total(), 0);
}

#[tokio::test]
async fn an_allowed_name_opens_its_addresses_before_it_is_answered() {
    let rules = &["a.x.org:443", "*.x.org:80"];
    let world = World::new(&[(NetMode::Allow, rules)]).await;
    let (_, found) = told(guest(1), world.server, "A.x.org.", A).await;
    assert_eq!(found, ["203.0.113.1"]);
    assert_eq!(
        world.learned(),
        ["1 203.0.113.1:80 330s", "1 203.0.113.1:443 330s"]
    );
    // Out of the cache it is learned again: the packet filter may be another one by now.
    told(guest(1), world.server, "a.x.org.", A).await;
    assert_eq!((world.learned().len(), world.upstream.total()), (4, 1));
    let (code, found) = told(guest(1), world.server, "bank.example.", A).await;
    assert_eq!((code, found.len()), (ResponseCode::Refused, 0));
    assert_eq!(world.last_verdict(), Verdict::Refused(Refusal::Unlisted));
    assert_eq!((world.learned().len(), world.upstream.total()), (4, 1));
}

#[tokio::test]
async fn aliases_follow_the_rule_of_the_question() {
    let world = World::new(&[(NetMode::Allow, &["www.x.org"])]).await;
    let (_, found) = told(guest(1), world.server, "www.x.org.", A).await;
    assert_eq!(found, ["edge.cdn.net.", "203.0.113.2"]);
    assert_eq!(world.learned(), ["1 203.0.113.2 50s"]);
    let (code, _) = told(guest(1), world.server, "edge.cdn.net.", A).await;
    assert_eq!(code, ResponseCode::Refused);
}

#[tokio::test]
async fn no_name_leads_inside() {
    let modes = [NetMode::Allow, NetMode::Nat, NetMode::Learn];
    let world = World::new(&modes.map(|mode| (mode, &["rebind.x.org"][..]))).await;
    for slot in [1, 2, 3] {
        let (_, found) = told(guest(slot), world.server, "rebind.x.org.", A).await;
        assert_eq!(found, ["203.0.113.3"]);
        let verdict = world.last_verdict();
        let expected = Verdict::Answered {
            rules: vec!["rebind.x.org".parse().unwrap()],
            addresses: addresses(&["203.0.113.3"]),
            withheld: addresses(&["10.0.0.1", "169.254.169.254"]),
        };
        assert_eq!(verdict, expected);
        let hints = ask(guest(slot), world.server, "rebind.x.org.", HTTPS).await;
        assert!(!hints.answers[0].data.to_string().contains("6.6.6.6"));
    }
    let expected = ["1 203.0.113.3 90s", "2 203.0.113.3 90s", "3 203.0.113.3 90s"];
    assert_eq!(world.learned(), expected);
    // The host is told all.
    let (_, found) = told(HOST, world.server, "rebind.x.org.", A).await;
    assert_eq!(found.len(), 3);
}

#[tokio::test]
async fn an_address_that_the_filter_does_not_know_is_not_handed_out() {
    let world = World::new(&[(NetMode::Allow, &["a.x.org"])]).await;
    world.vms.filter_fails.store(true, Ordering::Relaxed);
    let (code, found) = told(guest(1), world.server, "a.x.org.", A).await;
    assert_eq!((code, found.len()), (ResponseCode::ServFail, 0));
    let words = "the packet filter: no packet filter".to_owned();
    assert_eq!(world.last_verdict(), Verdict::Failed(words));
}

#[tokio::test]
async fn learning_forwards_all_and_says_what_was_asked() {
    let world = World::new(&[(NetMode::Learn, &[])]).await;
    let (_, found) = told(guest(1), world.server, "a.x.org.", A).await;
    assert_eq!(found, ["203.0.113.1"]);
    let expected = Verdict::Answered {
        rules: vec![],
        addresses: addresses(&["203.0.113.1"]),
        withheld: vec![],
    };
    assert_eq!(world.last_verdict(), expected);
    assert!(world.learned().is_empty());
    let (code, _) = told(guest(1), world.server, "use-application-dns.net.", A).await;
    assert_eq!(code, ResponseCode::NXDomain);
}
