//! The resolvers in `/etc/resolv.conf` (resolv.conf(5)).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::PORT;

/// The resolvers of such a file, in their order. One without any means one on this host.
///
/// An IPv6 address with a zone (`fe80::1%eth0`) is left out: its interface may go and come again with another number.
pub(super) fn nameservers(text: &str) -> Vec<SocketAddr> {
    let mut servers: Vec<SocketAddr> = Vec::new();
    for address in text
        .lines()
        .filter_map(nameserver)
        .filter_map(|word| word.parse::<IpAddr>().ok())
    {
        let server = SocketAddr::new(address, PORT);
        if !address.is_unspecified() && !servers.contains(&server) {
            servers.push(server);
        }
    }
    if servers.is_empty() {
        servers.push((Ipv4Addr::LOCALHOST, PORT).into());
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
        let texts: Vec<String> = nameservers(text).iter().map(SocketAddr::to_string).collect();
        assert_eq!(texts, ["127.0.0.53:53", "[2001:db8::53]:53", "192.0.2.53:53"]);
        assert_eq!(nameservers("")[0].to_string(), "127.0.0.1:53");
    }
}
