//! What this host uses of the network already.

use std::net::Ipv4Addr;

use banger_model::network::{Cidr, Ula};

/// The IPv4 blocks that the host has routes for.
///
/// Source: proc(5), `/proc/net/route`: numbers in hexadecimal, addresses in the order of the host's bytes.
pub(super) fn used_blocks() -> Vec<Cidr> {
    let table = std::fs::read_to_string("/proc/net/route").unwrap_or_default();
    blocks(&table)
}

fn blocks(table: &str) -> Vec<Cidr> {
    let routes = table.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, destination, _, _, _, _, _, mask, ..] = fields[..] else {
            return None;
        };
        let number = |text| u32::from_str_radix(text, 16).ok();
        let (first, mask) = (number(destination)?, number(mask)?);
        // The default route uses nothing.
        (mask != 0).then(|| {
            Cidr::around(
                Ipv4Addr::from(first.to_ne_bytes()).into(),
                mask.count_ones() as u8,
            )
        })?
    });
    routes.collect()
}

/// The largest packet of the link that leads out, or Ethernet's.
pub(super) fn mtu() -> u16 {
    let table = std::fs::read_to_string("/proc/net/route").unwrap_or_default();
    let of_link = uplink(&table).and_then(|link| {
        let text = std::fs::read_to_string(format!("/sys/class/net/{link}/mtu")).ok()?;
        text.trim().parse().ok()
    });
    of_link.unwrap_or(1500).clamp(1280, 9216)
}

fn uplink(table: &str) -> Option<&str> {
    table.lines().skip(1).find_map(|line| {
        let mut fields = line.split_whitespace();
        let (interface, destination) = (fields.next()?, fields.next()?);
        (destination == "00000000").then_some(interface)
    })
}

/// The unique local addresses of this host's user.
pub(super) fn ula(owner: u32) -> Ula {
    let machine = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
    Ula::from_seed(format!("{} {owner}", machine.trim()).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t01000A0A\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t00000A0A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
bgr0\t000010AC\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
";

    #[test]
    fn routes_are_used_blocks_but_for_the_default() {
        let blocks: Vec<String> = blocks(TABLE).iter().map(ToString::to_string).collect();
        assert_eq!(blocks, ["10.10.0.0/24", "172.16.0.0/24"]);
        assert_eq!(uplink(TABLE), Some("eth0"));
    }
}
