//! The filter's text: the templates beside this file, filled in.

use super::super::{Cidr, Network, bridge_name, refused, tap_prefix};
use super::table;

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

/// The interface by which a namespace of a user's own leads out is the only one beside the bridge, and nothing there listens.
const OUTSIDE_APART: &str = include_str!("outside.nft").trim_ascii_end();
const OUTSIDE_HOST: &str = r#"		iifname != "%bridge%" goto others"#;

/// What a VM may not reach of the host by the namespace's way out.
const HOSTS: &str =
    "		ct original ip daddr @hosts4 goto deny_host\n		ct original ip6 daddr @hosts6 goto deny_host";

/// On the host, a segment that conntrack does not translate back looks like one to the host itself, whose TCP would answer
/// with a reset. So the connections of VMs are remembered as they look outside.
const OPENED: &str = "	set opened%f% { type %addr% . inet_service . %addr% . inet_service; flags dynamic,timeout; timeout 5d; size 131071; }";
const TRACKING: &str = include_str!("tracking.nft");

/// A connection of which one side has said its last may go on for an hour in the other direction, and a datagram's answer may
/// be late (RFC 4787, 5382).
const TIMEOUTS: [&str; 2] = [
    "	ct timeout tcp_of_vms { protocol tcp; policy = { fin_wait: 3600, close_wait: 3600 }; }",
    "	ct timeout udp_of_vms { protocol udp; policy = { unreplied: 120, replied: 300 }; }",
];
const OPENING: [&str; 2] = [
    r#"		ct timeout set "tcp_of_vms""#,
    r#"		ct timeout set "udp_of_vms""#,
];

fn fill(text: &str, values: &[(&str, &str)]) -> String {
    values.iter().fold(text.to_owned(), |text, (name, value)| {
        text.replace(&format!("%{name}%"), value)
    })
}

fn optional(lines: &[&str]) -> String {
    let lines: Vec<String> = lines.iter().map(|line| format!("{line}{OPTIONAL}")).collect();
    lines.join("\n")
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
    let families = [
        family("4", "ip", "ipv4_addr", apart),
        family("6", "ip6", "ipv6_addr", apart),
    ];
    let (outside, hosts, tracking) = match apart {
        true => (OUTSIDE_APART, HOSTS, ""),
        false => (OUTSIDE_HOST, "", TRACKING),
    };
    let gateways = network.gateways().map(|gateway| gateway.to_string());
    let blocks = [network.subnet.to_string(), network.ula.to_string()];
    fill(
        include_str!("base.nft"),
        &[
            // What is filled in last is not looked into again, and none of these values has a % in it.
            ("families", &families.concat()),
            ("verdicts", &verdicts),
            ("timeouts", &optional(&TIMEOUTS)),
            ("opening", &optional(&OPENING)),
            ("outside", outside),
            ("hosts", hosts),
            ("tracking", tracking),
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

fn family(f: &str, ip: &str, addr: &str, apart: bool) -> String {
    let blocks = refused().blocks().iter();
    let own = blocks.filter(|block| block.first().is_ipv4() == (f == "4"));
    let refused: Vec<String> = own.map(Cidr::to_string).collect();
    let sets = match apart {
        true => "	set hosts%f% { type %addr%; }",
        false => OPENED,
    };
    // The lower half of such an address says that it embeds one of IPv4 (RFC 5214).
    let isatap = match f {
        "6" => "		ct original ip6 daddr & ::fdff:ffff:0:0 == ::0:5efe:0:0 goto deny_private\n",
        _ => "",
    };
    fill(
        include_str!("family.nft"),
        &[
            ("opened", sets),
            ("isatap", isatap),
            ("f", f),
            ("ip", ip),
            ("addr", addr),
            ("refused", &refused.join(", ")),
        ],
    )
}

fn verdict(verdict: &str, rule: &str, group: &str) -> String {
    // Packets of a connection come here until the mark that it gets is known to live; then no more of them do, but to
    // the host. So one that was open before the rules changed is told of again.
    let new = match (verdict, rule) {
        ("allow", "host") => "ct state new",
        _ => "",
    };
    // An answer is judged by what it answers, and the next packet of the VM's own is told of and marked. Who is outside
    // hears nothing of a refusal.
    let (reply, end) = match verdict {
        "allow" => (
            "accept",
            "ct mark set ip saddr map @marks4\n\t\tct mark set ip6 saddr map @marks6\n\t\taccept",
        ),
        _ => ("drop", "reject with icmpx admin-prohibited"),
    };
    fill(
        include_str!("verdict.nft"),
        &[
            ("verdict", verdict),
            ("rule", rule),
            ("reply", reply),
            ("new", new),
            ("end", end),
            ("group", group),
        ],
    )
}
