//! By what the filter changes when one VM does.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::IpAddr;

use banger_model::network::{Network, Slot};

use super::element::{Element, digit, element, own, own_rule};
use super::text::table;
use crate::Answer;

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
    let anew = to.iter().filter(is_renewed);
    let more = more().filter(|element| !is_renewed(element));
    commands(&mut script, "add", owner, more.chain(anew));
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
