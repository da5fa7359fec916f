//! Routes of a network, as the kernel shows those of any process (proc(5); linux/route.h, linux/ipv6_route.h): of this host's, and of
//! a network of this user's own, of which netlink would tell only who is inside.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use banger_model::network::Cidr;

const UP: u32 = 1;
const REJECT: u32 = 0x200;

/// A route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route {
    /// Where it leads.
    pub(crate) net: Cidr,
    /// By which interface.
    pub(crate) link: String,
    /// Whether anything is reached by it; there are routes that refuse.
    pub(crate) reaches: bool,
}

impl Route {
    /// Whether it leads everywhere where no other does.
    pub(crate) fn is_default(&self) -> bool {
        self.net.prefix() == 0
    }

    pub(crate) fn is_v4(&self) -> bool {
        self.net.first().is_ipv4()
    }
}

/// Those of this process's network.
pub(crate) fn ours() -> Vec<Route> {
    of("self")
}

/// Those of a process's network.
pub(crate) fn of(process: &str) -> Vec<Route> {
    let table = |name| std::fs::read_to_string(format!("/proc/{process}/net/{name}")).unwrap_or_default();
    in_tables(&table("route"), &table("ipv6_route"))
}

pub(crate) fn in_tables(v4: &str, v6: &str) -> Vec<Route> {
    let v4 = v4.lines().skip(1).filter_map(route_v4);
    v4.chain(v6.lines().filter_map(route_v6)).collect()
}

fn number(text: &str) -> Option<u32> {
    u32::from_str_radix(text, 16).ok()
}

const fn reaches(flags: u32) -> bool {
    flags & (UP | REJECT) == UP
}

/// Addresses are numbers in the order of the host's bytes.
fn route_v4(line: &str) -> Option<Route> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [link, to, _, flags, _, _, _, mask, ..] = fields[..] else {
        return None;
    };
    let first = IpAddr::V4(Ipv4Addr::from(number(to)?.to_ne_bytes()));
    Some(Route {
        net: Cidr::around(first, number(mask)?.count_ones() as u8)?,
        link: link.to_owned(),
        reaches: reaches(number(flags)?),
    })
}

fn route_v6(line: &str) -> Option<Route> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [to, length, _, _, _, _, _, _, flags, link] = fields[..] else {
        return None;
    };
    let first = IpAddr::V6(Ipv6Addr::from_bits(u128::from_str_radix(to, 16).ok()?));
    Some(Route {
        net: Cidr::around(first, u8::from_str_radix(length, 16).ok()?)?,
        link: link.to_owned(),
        // What is refused for want of a route is so by a route of loopback.
        reaches: reaches(number(flags)?) && link != "lo",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_read_as_the_kernel_shows_them() {
        let v4 = "\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t01000A0A\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t00000A0A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
*\t0000000A\t00000000\t0200\t0\t0\t0\t000000FF\t0\t0\t0
";
        let v6 = "\
20010db8000100000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 20010db8000100000000000000000002 00000400 00000001 00000000 00000003     eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo
nonsense
";
        let all = in_tables(v4, v6);
        let text: Vec<String> = all
            .iter()
            .map(|route| format!("{} {} {}", route.net, route.link, route.reaches))
            .collect();
        let expected = [
            "0.0.0.0/0 eth0 true",
            "10.10.0.0/24 eth0 true",
            "10.0.0.0/8 * false",
            "2001:db8:1::/64 eth0 true",
            "::/0 eth0 true",
            "::/0 lo false",
        ];
        assert_eq!(text, expected);
        assert_eq!(in_tables("", ""), []);
        assert!(all[0].is_default() && all[0].is_v4() && !all[4].is_v4());
    }
}
