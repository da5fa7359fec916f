//! The filter's text: the templates beside this file, filled in.

use banger_model::network::{Cidr, Network, bridge_name, refused, tap_prefix};

const ALLOWED: [&str; 6] = ["nat", "learn", "rule", "answer", "peer", "host"];
const DENIED: [&str; 8] = [
    "off",
    "private",
    "neighbour",
    "peer",
    "resolver",
    "doh",
    "unlisted",
    "host",
];

/// How a line ends that a kernel without timeouts of its own for connections (`CONFIG_NF_CONNTRACK_TIMEOUT`) refuses.
const OPTIONAL: &str = " # where the kernel has them";

/// The marks of lines that are for one case alone, as names without a value.
const CASES: [(&str, &str); 6] = [
    ("host", ""),
    ("apart", ""),
    ("4", ""),
    ("6", ""),
    ("allow", ""),
    ("deny", ""),
];

/// The name of the owner's two tables, in families `inet` and `bridge`.
pub fn table(owner: u32) -> String {
    format!("banger_{owner}")
}

/// No filter at all.
pub fn no_tables(owner: u32) -> String {
    let table = table(owner);
    ["inet", "bridge"]
        .map(|family| format!("table {family} {table} {{}}\ndelete table {family} {table}\n"))
        .concat()
}

/// A template filled in, without the lines that bear the mark of another case.
fn fill(text: &str, others: &[&str], values: &[(&str, &str)]) -> String {
    let is_other = |line: &&str| others.iter().any(|mark| line.starts_with(mark));
    let lines = text.split_inclusive('\n').filter(|line| !is_other(line));
    let filled = |text: String, (name, value): &(&str, &str)| text.replace(&format!("%{name}%"), value);
    CASES.iter().chain(values).fold(lines.collect(), filled)
}

/// The script without what older or smaller kernels lack; none if nothing of that is in it.
pub fn without_optional(script: &str) -> Option<String> {
    let lines = || script.lines().filter(|line| !line.ends_with(OPTIONAL));
    let left: String = lines().flat_map(|line| [line, "\n"]).collect();
    script.contains(OPTIONAL).then_some(left)
}

/// The whole filter without elements, in place of any that there is. `apart` is whether it is in a namespace of a user's own.
pub fn base(owner: u32, log_group: u16, network: &Network, apart: bool) -> String {
    let group = log_group.to_string();
    let allowed = ALLOWED.iter().map(|rule| verdict("allow", rule, &group));
    let denied = DENIED.iter().map(|rule| verdict("deny", rule, &group));
    let verdicts: String = allowed.chain(denied).collect();
    let other = if apart { "%host%" } else { "%apart%" };
    let families = [
        family("4", "ip", "ipv4_addr", &[other, "%6%"]),
        family("6", "ip6", "ipv6_addr", &[other, "%4%"]),
    ];
    let [gateway4, gateway6] = network.gateways().map(|gateway| gateway.to_string());
    let [subnet4, subnet6] = [network.subnet.cidr(), network.ula.cidr()].map(|block| block.to_string());
    let values: [(&str, &str); 12] = [
        // What is filled in last is not looked into again, and none of these values has a % in it.
        ("families", &families.concat()),
        ("verdicts", &verdicts),
        ("outside", include_str!("outside.nft").trim_ascii_end()),
        ("tracking", include_str!("tracking.nft")),
        ("table", &table(owner)),
        ("bridge", &bridge_name(owner)),
        ("taps", &tap_prefix(owner)),
        ("gateway4", &gateway4),
        ("gateway6", &gateway6),
        ("subnet4", &subnet4),
        ("subnet6", &subnet6),
        ("group", &group),
    ];
    fill(include_str!("base.nft"), &[other], &values)
}

fn family(f: &str, ip: &str, addr: &str, others: &[&str]) -> String {
    let blocks = refused().blocks().iter();
    let own = blocks.filter(|block| block.first().is_ipv4() == (f == "4"));
    let refused: Vec<String> = own.map(Cidr::to_string).collect();
    let refused = refused.join(", ");
    let values: [(&str, &str); 4] = [("f", f), ("ip", ip), ("addr", addr), ("refused", &refused)];
    fill(include_str!("family.nft"), others, &values)
}

fn verdict(verdict: &str, rule: &str, group: &str) -> String {
    // Packets of a connection come here until the mark that it gets is known to live; then no more of them do, but to
    // the host. So one that was open before the rules changed is told of again.
    let new = match (verdict, rule) {
        ("allow", "host") => "ct state new",
        _ => "",
    };
    let other = if verdict == "allow" { "%deny%" } else { "%allow%" };
    let values = [
        ("verdict", verdict),
        ("rule", rule),
        ("new", new),
        ("group", group),
    ];
    fill(include_str!("verdict.nft"), &[other], &values)
}
