use std::net::IpAddr;

use super::*;
use banger_model::{ByteSize, VmmChoice};

const SITE: [u8; 4] = [203, 0, 113, 1];

fn spec(id: u8, mode: NetMode, allow: &[&str]) -> VmSpec {
    VmSpec {
        id: VmId::from_bytes([id; 8]),
        name: format!("vm{id}").parse().unwrap(),
        image: "debian".parse().unwrap(),
        kernel: "debian".parse().unwrap(),
        vcpus: 1,
        memory: ByteSize::mib(512),
        disk_size: ByteSize::gib(8),
        vmm: VmmChoice::Auto,
        env: BTreeMap::new(),
        labels: BTreeMap::new(),
        net: Policy {
            mode,
            allow: allow.iter().map(|text| text.parse().unwrap()).collect(),
        },
        anonymous: false,
        repository: None,
    }
}

fn flow(rule: FlowRule, allowed: bool, port: u16) -> Flow {
    Flow {
        slot: Some(Slot(1)),
        allowed,
        rule,
        destination: Some(SITE.into()),
        protocol: 6,
        port: Some(port),
        ..Flow::of_packet(&[])
    }
}

fn asked(name: &str, verdict: Verdict) -> Asked {
    Asked {
        name: name.to_owned(),
        kind: "A".to_owned(),
        verdict,
    }
}

fn answered(addresses: &[IpAddr], withheld: &[IpAddr]) -> Verdict {
    Verdict::Answered {
        rules: Vec::new(),
        addresses: addresses.to_vec(),
        withheld: withheld.to_vec(),
    }
}

/// The flows of a VM, a line each.
fn shown(egress: &Egress, vm: VmId) -> String {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let line = |flow: VmFlow| {
        let rule = or_dash(flow.rule.map(|rule| rule.to_string()));
        let allow = or_dash(flow.allow.map(|rule| rule.to_string()));
        let port = or_dash(flow.port.map(|port| port.to_string()));
        let verdict = flow.verdict.as_str();
        let (target, protocol, count) = (flow.target, flow.protocol, flow.count);
        format!("{verdict} {target} {port}/{protocol} by {rule}, allow {allow}, {count}")
    };
    let lines: Vec<String> = egress.flows(vm).into_iter().map(line).collect();
    lines.join("\n")
}

#[test]
fn flows_have_names_and_rules_and_refused_names_are_among_them() {
    let egress = Egress::default();
    let spec = spec(1, NetMode::Allow, &["*.example.org:443"]);
    egress.set(Slot(1), &spec);
    egress.asked(Slot(1), &asked("www.example.org", answered(&[SITE.into()], &[])));
    egress.seen(&flow(FlowRule::Answer, true, 443), None);
    egress.seen(&flow(FlowRule::Answer, true, 443), None);
    egress.seen(&flow(FlowRule::Unlisted, false, 80), None);
    egress.asked(
        Slot(1),
        &asked("example.com", Verdict::Refused(Refusal::Unlisted)),
    );
    egress.asked(Slot(1), &asked("db.vm", Verdict::Refused(Refusal::Peer)));
    let inside = asked("rebind.example.org", answered(&[], &[[10, 0, 0, 1].into()]));
    egress.asked(Slot(1), &inside);
    egress.asked(Slot(1), &asked("slow.org", Verdict::Failed(String::new())));
    assert_eq!(
        shown(&egress, spec.id),
        "allowed www.example.org 443/tcp by *.example.org:443, allow -, 2\n\
         denied www.example.org 80/tcp by -, allow www.example.org:80, 1\n\
         denied example.com -/dns by -, allow example.com, 1\n\
         denied db.vm -/dns by -, allow vm:db, 1\n\
         denied rebind.example.org -/dns by -, allow -, 1"
    );
}

#[test]
fn what_a_vm_reaches_while_it_learns_is_learnt() {
    let egress = Egress::default();
    let vm = spec(1, NetMode::Learn, &[]);
    egress.set(Slot(1), &vm);
    let rules = |learnt: Option<Learnt>| -> Vec<String> {
        let rules = learnt.map(|learnt| learnt.rules).unwrap_or_default();
        rules.iter().map(ToString::to_string).collect()
    };
    let learns = |rule, allowed, port| rules(egress.learnt(&flow(rule, allowed, port), None));
    assert_eq!(learns(FlowRule::Learn, true, 80), ["203.0.113.1:80"]);
    for name in ["a.org", "b.org"] {
        egress.asked(Slot(1), &asked(name, answered(&[SITE.into()], &[])));
    }
    // Both were asked for a moment ago: either may be meant, and neither would be answered if it were not listed.
    assert_eq!(learns(FlowRule::Learn, true, 443), ["b.org:443", "a.org:443"]);
    assert_eq!(learns(FlowRule::Rule, true, 22), ["b.org:22", "a.org:22"]);
    assert_eq!(learns(FlowRule::Resolver, false, 53), [""; 0]);
    // The packet filter learnt of another mode a moment before.
    egress.set(Slot(1), &spec(1, NetMode::Allow, &[]));
    assert_eq!(learns(FlowRule::Learn, true, 8080).len(), 2);
    assert_eq!(learns(FlowRule::Rule, true, 22), [""; 0]);
}

#[test]
fn a_vm_that_is_gone_leaves_nothing_and_its_slot_is_the_next_ones() {
    let egress = Egress::default();
    let (one, two) = (spec(1, NetMode::Nat, &[]), spec(2, NetMode::Nat, &[]));
    egress.set(Slot(1), &one);
    egress.seen(&flow(FlowRule::Nat, true, 80), None);
    let (there, mut news) = egress.follow(one.id);
    assert_eq!(there.len(), 1);
    egress.forget(one.id);
    assert!(matches!(
        news.try_recv(),
        Err(broadcast::error::TryRecvError::Closed)
    ));
    egress.seen(&flow(FlowRule::Nat, true, 80), None);
    assert_eq!(shown(&egress, one.id), "");
    egress.set(Slot(1), &two);
    egress.seen(&flow(FlowRule::Nat, true, 81), None);
    assert_eq!(
        shown(&egress, two.id),
        "allowed 203.0.113.1 81/tcp by -, allow -, 1"
    );
}

#[test]
fn a_follower_is_told_of_each_flow_and_of_gaps() {
    let egress = Egress::default();
    let vm = spec(1, NetMode::Nat, &[]);
    let (there, mut news) = egress.follow(vm.id);
    assert!(there.is_empty());
    egress.set(Slot(1), &vm);
    egress.seen(&flow(FlowRule::Nat, true, 80), None);
    egress.gap();
    egress.seen(&flow(FlowRule::Nat, true, 80), None);
    let mut told = Vec::new();
    while let Ok(news) = news.try_recv() {
        told.push(match news {
            News::Flow(flow) => flow.count,
            News::Gap => 0,
        });
    }
    assert_eq!(told, [1, 0, 2]);
    drop(news);
    egress.seen(&flow(FlowRule::Nat, true, 80), None);
    assert_eq!(egress.flows(vm.id)[0].count, 3);
}
