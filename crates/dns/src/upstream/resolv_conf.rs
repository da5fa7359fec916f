//! The resolvers in `/etc/resolv.conf` (resolv.conf(5)).

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};

use rustix::net::netdevice::name_to_index;
use rustix::net::{AddressFamily, SocketType, socket};

use super::PORT;

/// A resolver as such a file has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Nameserver {
    address: IpAddr,
    /// The interface that a link-local address is on, by its name or number: `fe80::1%eth0`, as routers announce themselves.
    zone: Option<String>,
}

impl Nameserver {
    fn read(word: &str) -> Option<Self> {
        let (address, zone) = match word.split_once('%') {
            Some((address, zone)) => (address, Some(zone.to_owned())),
            None => (word, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let is_one = !address.is_unspecified() && (zone.is_none() || address.is_ipv6());
        is_one.then_some(Self { address, zone })
    }

    /// Where it is asked now; nowhere while its interface is not there, which may come again with another number.
    pub(super) fn place(&self) -> Option<SocketAddr> {
        match (self.address, self.zone.as_deref()) {
            (IpAddr::V6(address), Some(zone)) => {
                let index = zone.parse().ok().or_else(|| index(zone))?;
                Some(SocketAddrV6::new(address, PORT, 0, index).into())
            }
            (address, _) => Some(SocketAddr::new(address, PORT)),
        }
    }
}

/// An interface's number.
fn index(name: &str) -> Option<u32> {
    let socket = socket(AddressFamily::INET6, SocketType::DGRAM, None).ok()?;
    name_to_index(socket, name).ok()
}

/// The resolvers of such a file, in their order. One without any means one on this host.
pub(super) fn nameservers(text: &str) -> Vec<Nameserver> {
    let mut servers: Vec<Nameserver> = Vec::new();
    for server in text.lines().filter_map(nameserver).filter_map(Nameserver::read) {
        if !servers.contains(&server) {
            servers.push(server);
        }
    }
    if servers.is_empty() {
        servers.push(Nameserver {
            address: Ipv4Addr::LOCALHOST.into(),
            zone: None,
        });
    }
    servers
}

fn nameserver(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace();
    (words.next() == Some("nameserver")).then(|| words.next())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nameservers_are_found_among_the_rest() {
        let text = "# nameserver 1.1.1.1\n; nameserver 2.2.2.2\nsearch example.org\nnameserver 127.0.0.53\n\
                    nameserver\t2001:db8::53 # comment\nnameserver 127.0.0.53\nnameserver fe80::1%eth0\nnameserver x\n\
                    nameserverx 9.9.9.9\n  nameserver 192.0.2.53\noptions edns0 trust-ad\n";
        let places = |text: &str| -> Vec<String> {
            let places = nameservers(text).into_iter().filter_map(|server| server.place());
            places.map(|place| place.to_string()).collect()
        };
        // That of `eth0` is where and as long as this host has one.
        let found = places(&text.replace("eth0", "no-such-link"));
        assert_eq!(found, ["127.0.0.53:53", "[2001:db8::53]:53", "192.0.2.53:53"]);
        assert_eq!(places("")[0], "127.0.0.1:53");
    }

    #[test]
    fn a_link_local_resolver_is_asked_at_its_link() {
        let place = |text: &str| nameservers(text)[0].place().map(|place| place.to_string());
        assert_eq!(place("nameserver fe80::1%lo").as_deref(), Some("[fe80::1%1]:53"));
        assert_eq!(place("nameserver fe80::1%7").as_deref(), Some("[fe80::1%7]:53"));
        assert_eq!(place("nameserver fe80::1%no-such-link"), None);
        assert_eq!(place("nameserver 10.0.0.1%lo").as_deref(), Some("127.0.0.1:53"));
    }
}
