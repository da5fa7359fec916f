//! What the host's systemd-resolved is told, so that it asks the gateway for the names of VMs and for nothing else: the
//! arguments of `resolvectl`. It forgets them with the bridge.

use std::net::IpAddr;

use banger_model::network::{Cidr, Network, bridge_name};

/// Command lines of `resolvectl`, in their order; running them twice is as good as once.
///
/// Beside the zones and where they are asked for: what a host may demand of all its resolvers and this one does not speak, and
/// no questions to all on the bridge, to which a guest could answer what it likes. The domains come before the servers: with
/// servers and without domains, all questions would be asked there for a moment.
pub fn join(owner: u32, network: &Network) -> Vec<Vec<String>> {
    let line = |verb: &str, what: Vec<String>| {
        let mut line = vec![verb.to_owned(), bridge_name(owner)];
        line.extend(what);
        line
    };
    let blocks = [network.subnet.cidr(), network.ula.cidr()];
    let zones = blocks.iter().filter_map(reverse_zone);
    let domains = ["vm".to_owned()].into_iter().chain(zones);
    let off = ["default-route", "llmnr", "mdns", "dnsovertls", "dnssec"];
    let mut lines: Vec<_> = off.map(|verb| line(verb, vec!["no".to_owned()])).into();
    lines.push(line("domain", domains.map(|zone| format!("~{zone}")).collect()));
    lines.push(line(
        "dns",
        network.gateways().iter().map(IpAddr::to_string).collect(),
    ));
    lines
}

/// The zone that has the reverse names of a block, if there is one that has no others.
fn reverse_zone(block: &Cidr) -> Option<String> {
    let prefix = usize::from(block.prefix());
    let (labels, suffix): (Vec<String>, _) = match block.first() {
        IpAddr::V4(first) if prefix.is_multiple_of(8) => {
            let octets = first.octets().map(|octet| octet.to_string());
            (octets[..prefix / 8].to_vec(), "in-addr.arpa")
        }
        IpAddr::V6(first) if prefix.is_multiple_of(4) => {
            let digits = format!("{:032x}", first.to_bits());
            let labels = digits.chars().take(prefix / 4).map(String::from);
            (labels.collect(), "ip6.arpa")
        }
        _ => return None,
    };
    let reversed: Vec<String> = labels.into_iter().rev().collect();
    (!reversed.is_empty()).then(|| format!("{}.{suffix}", reversed.join(".")))
}

#[cfg(test)]
mod tests {
    use banger_model::network::{Subnet, Ula};

    use super::*;

    #[test]
    fn the_zone_and_its_reverse_are_joined_and_nothing_else() {
        let mut network = Network {
            subnet: Subnet::preferred(),
            ula: Ula::from_seed(b"test"),
            mtu: 1500,
            pool: 0,
        };
        let lines = |network: &Network| -> Vec<String> {
            join(1000, network).iter().map(|line| line.join(" ")).collect()
        };
        let told = lines(&network);
        let [off @ .., domain, dns] = told.as_slice() else {
            panic!("too few lines");
        };
        assert_eq!(
            off,
            [
                "default-route bgrrs no",
                "llmnr bgrrs no",
                "mdns bgrrs no",
                "dnsovertls bgrrs no",
                "dnssec bgrrs no",
            ]
        );
        assert!(
            domain.starts_with("domain bgrrs ~vm ~0.16.172.in-addr.arpa ~"),
            "{domain}"
        );
        // A /64 has sixteen digits.
        let last = domain.rsplit(' ').next().unwrap();
        assert_eq!(last.matches('.').count(), 17, "{last}");
        assert!(last.ends_with(".d.f.ip6.arpa"), "{last}");
        assert_eq!(*dns, format!("dns bgrrs 172.16.0.1 {}", network.ula.gateway()));
        // No zone has the addresses of this block and no others.
        network.subnet = "10.0.0.0/20".parse().unwrap();
        assert!(!lines(&network).concat().contains("in-addr.arpa"));
    }
}
