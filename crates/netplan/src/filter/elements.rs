//! What the filter holds of VMs and of the host's surroundings.

use std::collections::BTreeSet;
use std::net::IpAddr;

use banger_model::network::{NetMode, Network, Refused, Slot, Surroundings, tap_name};

use super::element::{Element, JUMP, OWN, digit, element, leading};
use crate::{Member, Plan};

/// What the filter holds of all VMs and of the host's surroundings.
pub fn all_elements(owner: u32, plan: &Plan) -> BTreeSet<Element> {
    let refused = plan.around.refused();
    let Some(network) = plan.network() else {
        return BTreeSet::new();
    };
    let of = |(&slot, member)| elements(owner, network, slot, member, &refused);
    let mut all: BTreeSet<Element> = plan.members.iter().flat_map(of).collect();
    all.extend(shared(&plan.around, plan.apart));
    all
}

/// What the filter holds of the host's surroundings.
fn shared(around: &Surroundings, apart: bool) -> impl Iterator<Item = Element> {
    let neighbours = around.blocks().into_iter();
    let neighbours = neighbours.map(|block| element(format!("neighbours{}", digit(block.first())), block));
    // On the host itself, what is for the host comes by another way.
    let hosts = around.own.iter().filter(move |_| apart);
    neighbours.chain(hosts.map(|&own| element(format!("hosts{}", digit(own)), own)))
}

/// What the filter holds of one VM.
pub fn elements(
    owner: u32,
    network: &Network,
    slot: Slot,
    member: &Member,
    refused: &Refused,
) -> BTreeSet<Element> {
    let card = format!("\"{}\" . {}", tap_name(owner, slot), member.mac);
    let mark = format!("0x{:08x}", 0xb400_0000 | u32::from(member.generation));
    let rules = &member.rules;
    let mut all = BTreeSet::from([
        element("macs", &card),
        element("sources6", format!("{card} . {}", member.mac.link_local())),
    ]);
    for own in network.addresses(slot) {
        let f = digit(own);
        let is_same = |other: &IpAddr| other.is_ipv4() == own.is_ipv4();
        all.insert(element(format!("sources{f}"), format!("{card} . {own}")));
        all.insert(element(format!("self{f}"), format!("{own} . {own}")));
        if rules.mode == NetMode::Off {
            continue;
        }
        let mode = format!("goto {}{f}", rules.mode.as_str());
        all.insert(leading(format!("modes{f}"), own, mode));
        all.insert(leading(format!("marks{f}"), own, mark.clone()));
        all.insert(element(format!("live{f}"), format!("{own} . {mark}")));
        let with_own = |set: &str, other: String| element(format!("{set}{f}"), format!("{own} . {other}"));
        let peers = rules.peers.iter().flat_map(|&peer| network.addresses(peer));
        let peers = peers.filter(is_same).map(|peer| peer.to_string());
        all.extend(peers.map(|peer| with_own("peers", peer)));
        let ports = rules.host_ports.iter().map(u16::to_string);
        all.extend(ports.map(|port| with_own("host_ports", port)));
        let exact = rules.exact().into_iter().filter(|(address, _)| is_same(address));
        all.extend(exact.map(|(address, port)| with_own("exact", format!("{address} . {port}"))));
        for port in rules.ports() {
            let (ports, behind) = match port {
                Some(port) => ("_ports", format!(" . {port}")),
                None => ("", String::new()),
            };
            for (kind, blocks) in ["inside", "nets"].iter().zip(rules.reached(port, refused)) {
                let map = format!("{kind}{ports}{f}");
                let set = format!("{OWN}{slot}_{map}");
                for block in blocks.iter().filter(|block| is_same(&block.first())) {
                    all.insert(leading(map.clone(), own, format!("{JUMP}{set}")));
                    all.insert(element(&set, format!("{block}{behind}")));
                }
            }
        }
    }
    all
}
