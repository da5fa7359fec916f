//! What the filter holds, by the elements of its sets and maps, and by what it changes when one VM does.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::IpAddr;

use banger_model::network::{NetMode, Network, Refused, Slot, Surroundings, tap_name};
use serde::{Deserialize, Serialize};

use super::text::{base, no_tables, table};
use crate::{Answer, Member, Plan};

/// The whole filter of a plan, and of the answers that live.
pub fn whole(owner: u32, plan: &Plan, answers_of: impl Fn(Slot) -> Vec<Answer>) -> String {
    let Some(network) = plan.network() else {
        return no_tables(owner);
    };
    let mut script = base(owner, plan.log_group, network, plan.apart)
        + &change(owner, &BTreeSet::new(), &all_elements(owner, plan));
    for &slot in plan.members.keys() {
        script += &answers(owner, network, slot, &answers_of(slot), &["add"]);
    }
    script
}

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

/// How the names of sets and chains begin that are one VM's, and the verdicts that lead to them.
pub(crate) const OWN: &str = "vm";
const JUMP: &str = "jump ";

/// One element of a set, or of a map if it has a value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Element {
    /// The set's name.
    pub set: String,
    /// The key, written as `nft -nn` lists it.
    pub key: String,
    /// What a map gives for the key.
    pub value: Option<String>,
}

impl Element {
    /// The element as `nft -nn` lists it.
    pub fn text(&self) -> String {
        self.value
            .as_ref()
            .map_or_else(|| self.key.clone(), |value| format!("{} : {value}", self.key))
    }
}

/// An element of a set.
fn element(set: impl Into<String>, key: impl ToString) -> Element {
    let (set, key) = (set.into(), key.to_string());
    Element {
        set,
        key,
        value: None,
    }
}

/// An element of a map.
fn leading(map: String, key: IpAddr, value: String) -> Element {
    let value = Some(value);
    Element {
        value,
        ..element(map, key)
    }
}

/// What ends the names of sets with addresses of this family.
const fn digit(address: IpAddr) -> char {
    if address.is_ipv4() { '4' } else { '6' }
}

/// The VM's own set, and the chain of that name which asks it, that a map's element leads to. Blocks of addresses are
/// apart for each VM: the kernel's time to take one from a set grows with the set.
pub(crate) fn own(element: &Element) -> Option<&str> {
    element.value.as_deref()?.strip_prefix(JUMP)
}

/// The rule of such a chain as `nft -nn` lists it.
pub(crate) fn own_rule(name: &str) -> String {
    let ip = if name.ends_with('4') { "ip" } else { "ip6" };
    // `nft` knows what kind of number the port is by the protocol alone.
    let (protocol, port) = match name.contains("ports") {
        true => ("meta l4proto { 6, 17 } ", " . ct original proto-dst"),
        false => ("", ""),
    };
    format!("{protocol}ct original {ip} daddr{port} @{name} goto allow_rule")
}

/// The sets that belong to no VM.
const SHARED: [&str; 2] = ["neighbours", "hosts"];

/// The transaction from one set of elements to another. Empty if they are the same.
pub fn change(owner: u32, from: &BTreeSet<Element>, to: &BTreeSet<Element>) -> String {
    let (less, more) = (|| from.difference(to), || to.difference(from));
    // What is in a set goes with it.
    let gone: BTreeSet<&str> = less().filter_map(own).collect();
    // Ranges that meet those of before cannot come in the transaction in which those go, one by one.
    let changed = less().chain(more()).map(|element| element.set.as_str());
    let renewed: BTreeSet<&str> = changed.filter(|set| is_shared(set)).collect();
    let is_renewed = |element: &&Element| renewed.contains(element.set.as_str());
    let stays = |element: &&Element| !gone.contains(element.set.as_str()) && !is_renewed(element);
    let at = |name: &str| format!("inet {} {name}", table(owner));
    let mut script = String::new();
    // Writing to a string does not fail.
    for name in more().filter_map(own) {
        let family = name.chars().last().unwrap_or('4');
        let has_port = name.contains("ports");
        let port = if has_port { " . inet_service" } else { "" };
        let (at, rule) = (at(name), own_rule(name));
        let of = format!("type ipv{family}_addr{port}; flags interval;");
        let _ = writeln!(
            script,
            "create set {at} {{ {of} }}\ncreate chain {at}\nadd rule {at} {rule}"
        );
    }
    for set in &renewed {
        let _ = writeln!(script, "flush set {}", at(set));
    }
    commands(&mut script, "delete", owner, less().filter(stays));
    let renewed_elements = to.iter().filter(is_renewed);
    let more = more().filter(|element| !is_renewed(element));
    commands(&mut script, "add", owner, more.chain(renewed_elements));
    for name in gone.into_iter().map(at) {
        let _ = writeln!(script, "delete chain {name}\ndelete set {name}");
    }
    script
}

fn commands<'a>(script: &mut String, word: &str, owner: u32, elements: impl Iterator<Item = &'a Element>) {
    let mut by_set: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for element in elements {
        let deleted = (word == "delete").then(|| element.key.clone());
        let text = deleted.unwrap_or_else(|| element.text());
        by_set.entry(&element.set).or_default().push(text);
    }
    let table = table(owner);
    for (set, keys) in by_set {
        let is_bridge = set.starts_with("sources") || set == "macs";
        let family = if is_bridge { "bridge" } else { "inet" };
        // Writing to a string does not fail.
        let keys = keys.join(", ");
        let _ = writeln!(script, "{word} element {family} {table} {set} {{ {keys} }}");
    }
}

/// To let a VM reach what it was answered, whether it could before. Older kernels let an element that is there keep its old time
/// when it is added again, and one that has just expired cannot be deleted unless it is added before.
pub const RENEW: [&str; 3] = ["add", "delete", "add"];
/// To take from a VM what it was answered.
pub const FORGET: [&str; 2] = ["add", "delete"];

/// The transaction that does these with what a VM was answered.
pub fn answers(owner: u32, network: &Network, slot: Slot, answers: &[Answer], words: &[&str]) -> String {
    let element = |answer: &Answer, word: &str| {
        let is_same = |own: &IpAddr| own.is_ipv4() == answer.address.is_ipv4();
        let own = network.addresses(slot).find(is_same)?;
        let (set, port) = match answer.port {
            Some(port) => ("answer_ports", format!(" . {port}")),
            None => ("answers", String::new()),
        };
        let set = format!("{set}{}", digit(own));
        let timeout = format!(" timeout {}s", answer.ttl);
        let timeout = if word == "delete" { "" } else { &timeout };
        Some(element(set, format!("{own} . {}{port}{timeout}", answer.address)))
    };
    let mut script = String::new();
    for word in words {
        let elements = answers.iter().filter_map(|answer| element(answer, word));
        let elements: Vec<Element> = elements.collect();
        commands(&mut script, word, owner, elements.iter());
    }
    script
}

fn is_shared(set: &str) -> bool {
    SHARED.contains(&&set[..set.len().saturating_sub(1)])
}
