//! The elements of sets and maps, and what their names say.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// How the names of sets and chains begin that are one VM's, and the verdicts that lead to them.
pub(crate) const OWN: &str = "vm";
pub(super) const JUMP: &str = "jump ";

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
pub(super) fn element(set: impl Into<String>, key: impl ToString) -> Element {
    let (set, key) = (set.into(), key.to_string());
    Element {
        set,
        key,
        value: None,
    }
}

/// An element of a map.
pub(super) fn leading(map: String, key: IpAddr, value: String) -> Element {
    let value = Some(value);
    Element {
        value,
        ..element(map, key)
    }
}

/// What ends the names of sets with addresses of this family.
pub(super) const fn digit(address: IpAddr) -> char {
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
