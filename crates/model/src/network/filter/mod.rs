//! The packet filter as text for `nft`: all of it, and the elements by which it changes when one VM does. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::IpAddr;

use super::{
    Cidr, DNS_OVER_HTTPS, Member, NetMode, Network, Plan, RESOLVER_PORTS, Slot, bridge_name, refused,
    tap_name, tap_prefix,
};

/// How the names of sets and chains begin that are one VM's, and the verdicts that lead to them.
pub(super) const OWN: &str = "vm";
const JUMP: &str = "jump ";

const ALLOWED: [&str; 6] = ["nat", "learn", "rule", "answer", "peer", "host"];
const DENIED: [&str; 7] = ["off", "private", "peer", "resolver", "doh", "unlisted", "host"];

/// The name of the owner's two tables, in families `inet` and `bridge`.
pub fn table(owner: u32) -> String {
    format!("banger_{owner}")
}

/// The NFLOG group of the owner's flows.
pub fn log_group(owner: u32) -> u16 {
    // Beyond the low numbers that others configure by hand. Two owners whose uids agree in 14 bits would share one.
    0x4000 | (owner & 0x3fff) as u16
}

/// The whole filter without elements, in place of any that there is.
pub fn base(owner: u32, network: &Network) -> String {
    let fill = |text: &str, values: &[(&str, &str)]| {
        values.iter().fold(text.to_owned(), |text, (name, value)| {
            text.replace(&format!("%{name}%"), value)
        })
    };
    let group = log_group(owner).to_string();
    let list = |v4: bool, blocks: &mut dyn Iterator<Item = Cidr>| -> String {
        let own: Vec<String> = blocks
            .filter(|block| block.first().is_ipv4() == v4)
            .map(|block| block.to_string())
            .collect();
        own.join(", ")
    };
    let resolvers = RESOLVER_PORTS.map(|port| port.to_string()).join(", ");
    let family = |f: &str, ip: &str, addr: &str| {
        let blocked = list(f == "4", &mut refused().iter().copied());
        let doh = list(
            f == "4",
            &mut DNS_OVER_HTTPS.iter().filter_map(|text| text.parse().ok()),
        );
        let values = [
            ("f", f),
            ("ip", ip),
            ("addr", addr),
            ("refused", &blocked),
            ("doh", &doh),
            ("resolvers", &resolvers),
        ];
        fill(include_str!("family.nft"), &values)
    };
    let verdict = |verdict: &str, rule: &str| {
        // Packets of a connection come here until the mark that it gets is known to live; then no more of them do, but to
        // the host. So one that was open before the rules changed is told of again.
        let new = if verdict == "allow" && rule == "host" {
            "ct state new"
        } else {
            ""
        };
        let end = match verdict {
            "allow" => "ct mark set ip saddr map @marks4\n\t\tct mark set ip6 saddr map @marks6\n\t\taccept",
            _ => "reject with icmpx admin-prohibited",
        };
        let values = [
            ("verdict", verdict),
            ("rule", rule),
            ("new", new),
            ("end", end),
            ("group", &group),
        ];
        fill(include_str!("verdict.nft"), &values)
    };
    let allowed = ALLOWED.iter().map(|rule| verdict("allow", rule));
    let verdicts: String = allowed
        .chain(DENIED.iter().map(|rule| verdict("deny", rule)))
        .collect();
    let families = [family("4", "ip", "ipv4_addr"), family("6", "ip6", "ipv6_addr")].concat();
    let gateways = [
        network.subnet.gateway().to_string(),
        network.ula.gateway().to_string(),
    ];
    let blocks = [network.subnet.to_string(), network.ula.to_string()];
    fill(
        include_str!("base.nft"),
        &[
            // What is filled in last is not looked into again, and none of these values has a % in it.
            ("families", &families),
            ("verdicts", &verdicts),
            ("table", &table(owner)),
            ("bridge", &bridge_name(owner)),
            ("taps", &tap_prefix(owner)),
            ("gateway4", &gateways[0]),
            ("gateway6", &gateways[1]),
            ("subnet4", &blocks[0]),
            ("subnet6", &blocks[1]),
            ("group", &group),
        ],
    )
}

/// The whole filter of a plan, and of the answers that live.
pub fn whole(owner: u32, plan: &Plan, answers_of: impl Fn(Slot) -> Vec<Answered>) -> String {
    let Some(network) = plan.network() else {
        return no_tables(owner);
    };
    let mut script = base(owner, network) + &change(owner, &BTreeSet::new(), &all_elements(owner, plan));
    for &slot in plan.members.keys() {
        script += &answers(owner, network, slot, &answers_of(slot));
    }
    script
}

/// What the filter holds of all VMs.
pub fn all_elements(owner: u32, plan: &Plan) -> BTreeSet<Element> {
    let of = |network| move |(&slot, member)| elements(owner, network, slot, member);
    plan.network()
        .into_iter()
        .flat_map(|network| plan.members.iter().flat_map(of(network)))
        .collect()
}

/// No filter at all.
pub fn no_tables(owner: u32) -> String {
    let table = table(owner);
    ["inet", "bridge"]
        .map(|family| format!("table {family} {table} {{}}\ndelete table {family} {table}\n"))
        .concat()
}

/// One element of a set, or of a map if it has a value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
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

/// What the filter holds of one VM.
pub fn elements(owner: u32, network: &Network, slot: Slot, member: &Member) -> BTreeSet<Element> {
    let mut all = BTreeSet::new();
    let mut add = |set: String, key: String, value: Option<String>| {
        all.insert(Element { set, key, value });
    };
    let card = format!("\"{}\" . {}", tap_name(owner, slot), member.mac);
    add("macs".to_owned(), card.clone(), None);
    add(
        "sources6".to_owned(),
        format!("{card} . {}", member.mac.link_local()),
        None,
    );
    let mark = format!("0x{:08x}", 0xb400_0000 | u32::from(member.generation));
    let rules = &member.rules;
    for own in network.addresses(slot) {
        let f = if own.is_ipv4() { '4' } else { '6' };
        add(format!("sources{f}"), format!("{card} . {own}"), None);
        if rules.mode == NetMode::Off {
            continue;
        }
        add(
            format!("modes{f}"),
            own.to_string(),
            Some(format!("goto {}{f}", rules.mode)),
        );
        add(format!("marks{f}"), own.to_string(), Some(mark.clone()));
        add(format!("live{f}"), format!("{own} . {mark}"), None);
        let same = |other: &IpAddr| other.is_ipv4() == own.is_ipv4();
        for peer in rules
            .peers
            .iter()
            .flat_map(|&peer| network.addresses(peer))
            .filter(same)
        {
            add(format!("peers{f}"), format!("{own} . {peer}"), None);
        }
        for port in &rules.host_ports {
            add(format!("host_ports{f}"), format!("{own} . {port}"), None);
        }
        for (address, port) in rules.exact().into_iter().filter(|(address, _)| same(address)) {
            add(format!("exact{f}"), format!("{own} . {address} . {port}"), None);
        }
        for port in rules.ports() {
            for range in rules.ranges(port).into_iter().filter(|range| same(&range.first)) {
                let (map, key) = match port {
                    Some(port) => (format!("net_ports{f}"), format!("{range} . {port}")),
                    None => (format!("nets{f}"), range.to_string()),
                };
                let set = format!("{OWN}{slot}_{map}");
                add(map, own.to_string(), Some(format!("{JUMP}{set}")));
                add(set, key, None);
            }
        }
    }
    all
}

/// The VM's own set, and the chain of that name which asks it, that a map's element leads to. Blocks of addresses are
/// apart for each VM: the kernel's time to take one from a set grows with the set.
fn own(element: &Element) -> Option<&str> {
    element.value.as_deref()?.strip_prefix(JUMP)
}

/// The chains that are VMs' own, each with its rule as `nft -nn` lists it.
pub(super) fn own_chains<'a>(
    elements: impl Iterator<Item = &'a Element>,
) -> impl Iterator<Item = (&'a str, String)> {
    elements.filter_map(own).map(|name| (name, own_rule(name)))
}

fn own_rule(name: &str) -> String {
    let ip = if name.ends_with('4') { "ip" } else { "ip6" };
    let port = if name.contains("ports") { " . th dport" } else { "" };
    format!("{ip} daddr{port} @{name} goto allow_rule")
}

/// The transaction from one set of elements to another. Empty if they are the same.
pub fn change(owner: u32, from: &BTreeSet<Element>, to: &BTreeSet<Element>) -> String {
    let (less, more) = (|| from.difference(to), || to.difference(from));
    // What is in a set goes with it.
    let gone: BTreeSet<&str> = less().filter_map(own).collect();
    let stays = |element: &&Element| !gone.contains(element.set.as_str());
    let at = |name: &str| format!("inet {} {name}", table(owner));
    let mut script = String::new();
    // Writing to a string does not fail.
    for name in more().filter_map(own) {
        let addr = if name.ends_with('4') {
            "ipv4_addr"
        } else {
            "ipv6_addr"
        };
        let port = if name.contains("ports") {
            " . inet_service"
        } else {
            ""
        };
        let (at, rule) = (at(name), own_rule(name));
        let _ = writeln!(script, "create set {at} {{ type {addr}{port}; flags interval; }}");
        let _ = writeln!(script, "create chain {at}\nadd rule {at} {rule}");
    }
    commands(&mut script, "delete", owner, less().filter(stays));
    commands(&mut script, "add", owner, more());
    for name in gone.into_iter().map(at) {
        let _ = writeln!(script, "delete chain {name}\ndelete set {name}");
    }
    script
}

/// The transaction that a VM's coming, changing or going is.
pub fn member_change(
    owner: u32,
    network: &Network,
    slot: Slot,
    from: Option<&Member>,
    to: Option<&Member>,
) -> String {
    let of = |member: Option<&Member>| {
        let elements = member.map(|member| elements(owner, network, slot, member));
        elements.unwrap_or_default()
    };
    change(owner, &of(from), &of(to))
}

fn commands<'a>(script: &mut String, word: &str, owner: u32, elements: impl Iterator<Item = &'a Element>) {
    let mut by_set: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for element in elements {
        let text = if word == "delete" {
            element.key.clone()
        } else {
            element.text()
        };
        by_set.entry(&element.set).or_default().push(text);
    }
    for (set, keys) in by_set {
        let family = if set.starts_with("sources") || set == "macs" {
            "bridge"
        } else {
            "inet"
        };
        // Writing to a string does not fail.
        let _ = writeln!(
            script,
            "{word} element {family} {} {set} {{ {} }}",
            table(owner),
            keys.join(", ")
        );
    }
}

/// An address that a name resolved to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answered {
    /// The address.
    pub address: IpAddr,
    /// The TCP and UDP port that the name's rule is limited to; every port and protocol if none.
    pub port: Option<u16>,
    /// How long it lives, in seconds from now.
    pub seconds: u64,
    /// Whether it lives already, and is to live on.
    pub again: bool,
}

/// The transaction that lets a VM reach what it was answered.
pub fn answers<'a>(
    owner: u32,
    network: &Network,
    slot: Slot,
    answers: impl IntoIterator<Item = &'a Answered>,
) -> String {
    let (mut timed, mut again) = (Vec::new(), Vec::new());
    for answer in answers {
        let Some(own) = network
            .addresses(slot)
            .find(|own| own.is_ipv4() == answer.address.is_ipv4())
        else {
            continue;
        };
        let f = if own.is_ipv4() { '4' } else { '6' };
        let (set, key) = match answer.port {
            Some(port) => (
                format!("answer_ports{f}"),
                format!("{own} . {} . {port}", answer.address),
            ),
            None => (format!("answers{f}"), format!("{own} . {}", answer.address)),
        };
        let lives = Element {
            key: format!("{key} timeout {}s", answer.seconds),
            set,
            value: None,
        };
        if answer.again {
            again.push((Element { key, ..lives.clone() }, lives.clone()));
        }
        timed.push(lives);
    }
    let mut script = String::new();
    commands(&mut script, "add", owner, timed.iter());
    // Older kernels let an element that is there keep its old time when it is added again, and one that has just
    // expired cannot be deleted unless it is added before.
    commands(&mut script, "delete", owner, again.iter().map(|(bare, _)| bare));
    commands(&mut script, "add", owner, again.iter().map(|(_, lives)| lives));
    script
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{NetRule, Rules, Subnet, Ula};

    fn network() -> Network {
        Network {
            subnet: Subnet::preferred(),
            ula: Ula::from_seed(b"host and user"),
            mtu: 1500,
            pool: 4,
        }
    }

    fn member(mode: NetMode) -> Member {
        let net = |net: &str, port| NetRule {
            net: net.parse().unwrap(),
            port,
        };
        let rules = Rules {
            mode,
            nets: vec![
                net("10.0.0.0/8", Some(22)),
                net("203.0.113.7", Some(443)),
                net("2001:db8::/32", None),
                net("192.168.0.0/15", None),
            ],
            peers: [Slot(1)].into(),
            host_ports: [8080].into(),
        };
        let mac = "06:00:00:00:00:01".parse().unwrap();
        Member {
            mac,
            rules,
            generation: 3,
        }
    }

    #[test]
    fn the_whole_filter() {
        insta::assert_snapshot!(base(1000, &network()));
    }

    #[test]
    fn what_a_vm_adds_and_what_a_narrower_policy_changes() {
        let all = |member| elements(1000, &network(), Slot(0), &member);
        let attach = change(1000, &BTreeSet::new(), &all(member(NetMode::Allow)));
        let off = Member {
            generation: 4,
            ..member(NetMode::Off)
        };
        let narrow = change(1000, &all(member(NetMode::Allow)), &all(off));
        let answer = |port, again| Answered {
            address: [203, 0, 113, 9].into(),
            port,
            seconds: 60,
            again,
        };
        let answers = answers(
            1000,
            &network(),
            Slot(0),
            &[answer(None, false), answer(Some(443), true)],
        );
        insta::assert_snapshot!(format!(
            "# attach\n{attach}\n# narrow\n{narrow}\n# answers\n{answers}"
        ));
    }

    #[test]
    fn nothing_changes_without_a_change() {
        let all = elements(1000, &network(), Slot(0), &member(NetMode::Nat));
        assert_eq!(change(1000, &all, &all), "");
    }
}
