//! What this host uses of the network already.

use banger_model::network::{Cidr, Ula};

use crate::routes::{self, Route};

/// The IPv4 blocks that the host has routes for. The default route uses nothing.
pub(crate) fn used_blocks() -> Vec<Cidr> {
    let used = |route: &Route| route.is_v4() && !route.is_default();
    let all = routes::ours().into_iter();
    all.filter(used).map(|route| route.net).collect()
}

/// The largest packet of the link that leads out, or Ethernet's.
pub(crate) fn mtu() -> u16 {
    let routes = routes::ours();
    let of_link = uplink(&routes).and_then(|link| {
        let text = std::fs::read_to_string(format!("/sys/class/net/{link}/mtu")).ok()?;
        text.trim().parse().ok()
    });
    of_link.unwrap_or(1500).clamp(1280, 9216)
}

/// The link that leads out by either protocol; IPv4's where both do.
fn uplink(routes: &[Route]) -> Option<&str> {
    let first = routes.iter().find(|route| route.is_default() && route.reaches);
    first.map(|route| route.link.as_str())
}

/// The unique local addresses of this host's user.
pub(crate) fn ula(owner: u32) -> Ula {
    let machine = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
    Ula::from_seed(format!("{} {owner}", machine.trim()).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_uplink_is_by_either_protocol() {
        let route = |net: &str, link: &str, reaches| Route {
            net: net.parse().unwrap(),
            link: link.to_owned(),
            reaches,
        };
        let v6 = route("::/0", "wlan0", true);
        let all = [
            route("10.0.0.0/8", "eth1", true),
            route("0.0.0.0/0", "lo", false),
            route("0.0.0.0/0", "eth0", true),
            v6.clone(),
        ];
        assert_eq!(uplink(&all), Some("eth0"));
        assert_eq!(uplink(&[route("fd00::/8", "eth1", true), v6]), Some("wlan0"));
        assert_eq!(uplink(&all[..2]), None);
    }
}
