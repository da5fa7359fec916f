//! What the host uses beside the owner's bridge: routes, gateways, peers, rules of every table; resolvers; connections.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use banger_model::network::Cidr;
use banger_netplan::{Use, resolvers};

use super::netlink::{Lists, index, questions};

/// Files that name the host's resolvers.
pub(crate) const FILES: [&str; 6] = [
    "/etc/resolv.conf",
    RESOLVED_ALL,
    "/etc/systemd/resolved.conf",
    "/run/NetworkManager/no-stub-resolv.conf",
    "/run/resolvconf/resolv.conf",
    "/run/dnsmasq/resolv.conf",
];
/// Directories of such files: of systemd's for each link, by its number, and of resolvconf's.
pub(crate) const DIRS: [&str; 5] = [
    RESOLVED_LINKS,
    "/run/systemd/netif/links",
    "/etc/systemd/resolved.conf.d",
    "/run/systemd/resolved.conf.d",
    "/run/resolvconf/interface",
];
const RESOLVED_ALL: &str = "/run/systemd/resolve/resolv.conf";
const RESOLVED_LINKS: &str = "/run/systemd/resolve/netif";
/// Tables of routing that every destination is looked up in anyway: main and local.
const COMMON: [u32; 2] = [254, 255];

fn used(net: Cidr, by: &str) -> Use {
    let by = by.to_owned();
    Use { net, by }
}

/// What goes by routes, with what is at links.
pub(super) fn of_routes(bridge: &str) -> io::Result<Vec<Use>> {
    let own = index(bridge).ok();
    let others = |link: Option<u32>| link.is_none() || link != own;
    let mut uses = Vec::new();
    let mut add = |net: Option<Cidr>, by: &str| uses.extend(net.map(|net| used(net, by)));
    let socket = questions()?;
    let mut lists = Lists::of(&socket);
    for route in lists.routes()? {
        if route.reaches() && route.prefix > 0 && others(route.link) {
            let net = Cidr::around(route.first, route.prefix);
            add(net, "this host reaches by a route");
        }
        let through = route.gateways.iter().filter(|(link, _)| others(*link));
        through.for_each(|(_, gateway)| add(Some(Cidr::host(*gateway)), "is a gateway of this host"));
    }
    let addresses = lists.addresses()?.into_iter();
    for address in addresses.filter(|address| others(Some(address.link))) {
        let peer = address.peer.map(Cidr::host);
        add(peer, "is an address at a link of this host");
    }
    for rule in lists.rules()? {
        if !COMMON.contains(&rule.table) {
            let net = Cidr::around(rule.first, rule.prefix);
            add(net, "is in a routing rule of this host");
        }
    }
    Ok(uses)
}

/// Whom the host asks for names, but the owner's bridge: what systemd-resolved was told of that by us. `gateways` are the
/// bridge's addresses, which resolved has from us while there is a bridge: its own file of the link may be closed to us.
pub(super) fn of_resolvers(bridge: &str, gateways: &[IpAddr]) -> io::Result<Vec<Use>> {
    let index = index(bridge).ok();
    let own = index.map(|index| Path::new(RESOLVED_LINKS).join(index.to_string()));
    let mut told = Vec::new();
    if let Some(own) = &own {
        told.extend(gateways);
        told.extend(resolvers(&text(own, &CLOSED)?));
    }
    let mut uses = Vec::new();
    let mut look = |path: &Path, text: &str, known: &[IpAddr]| {
        let addresses = resolvers(text).filter(|address| !known.contains(address));
        let by = format!("is a resolver of this host ({})", path.display());
        uses.extend(addresses.map(|address| used(Cidr::host(address), &by)));
    };
    for path in FILES.map(Path::new) {
        // resolved lists in one file what it was told of every link.
        let of_all = path == Path::new(RESOLVED_ALL)
            || fs::canonicalize(path).is_ok_and(|real| real == Path::new(RESOLVED_ALL));
        look(path, &text(path, &[])?, if of_all { &told } else { &[] });
    }
    for dir in DIRS {
        for entry in there(fs::read_dir(dir), &CLOSED)?.into_iter().flatten() {
            let path = entry?.path();
            if Some(&path) != own.as_ref() {
                look(&path, &text(&path, &CLOSED)?, &[]);
            }
        }
    }
    Ok(uses)
}

/// A file of one link may be for others alone: what is in it stands in the file of all links, too.
const CLOSED: [io::ErrorKind; 1] = [io::ErrorKind::PermissionDenied];

/// A file's text; nothing where there is no such file, or one that cannot be had for reasons that do not matter.
fn text(path: &Path, but: &[io::ErrorKind]) -> io::Result<String> {
    let bytes = there(fs::read(path), but);
    let bytes = bytes.map_err(|error| io::Error::other(format!("{}: {error}", path.display())))?;
    Ok(String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned())
}

/// What is there.
fn there<T>(result: io::Result<T>, but: &[io::ErrorKind]) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound || but.contains(&error.kind()) => Ok(None),
        result => result.map(Some),
    }
}

/// Whom the host is connected to by TCP and UDP (proc_net_tcp): to claim their addresses would cut these connections.
pub(super) fn of_connections() -> io::Result<Vec<Use>> {
    let mut uses = Vec::new();
    for name in ["tcp", "tcp6", "udp", "udp6"] {
        let table = text(&Path::new("/proc/self/net").join(name), &[])?;
        let peers = table.lines().skip(1).filter_map(|line| {
            let (address, _) = line.split_whitespace().nth(2)?.split_once(':')?;
            peer(address)
        });
        let peers = peers.filter(|peer| !peer.is_unspecified());
        uses.extend(peers.map(|peer| used(Cidr::host(peer), "is the peer of a connection of this host")));
    }
    Ok(uses)
}

/// An address as words of the host's byte order, in hexadecimal.
fn peer(text: &str) -> Option<IpAddr> {
    let word = |at: usize| {
        let digits = text.get(at..at + 8)?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    match text.len() {
        8 => Some(IpAddr::V4(Ipv4Addr::from(word(0)?))),
        32 => {
            let words = [word(0)?, word(8)?, word(16)?, word(24)?];
            let bytes: [u8; 16] = words.as_flattened().try_into().ok()?;
            Some(IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_read_as_the_kernel_writes_them() {
        let of = |text| peer(text).map(|address| address.to_string());
        assert_eq!(of("0100000A").as_deref(), Some("10.0.0.1"));
        assert_eq!(
            of("0000000000000000FFFF00000100000A").as_deref(),
            Some("10.0.0.1")
        );
        assert_eq!(
            of("B80D0120000000000000000001000000").as_deref(),
            Some("2001:db8::1")
        );
        for odd in ["", "0100000", "0100000G", "é100000"] {
            assert_eq!(of(odd), None);
        }
    }
}
