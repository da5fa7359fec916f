//! The tables of sockets in `/proc/net` (proc(5)), as text: what listens, without any tool.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::Transport;

/// The states of a socket that listens, in those tables: a TCP socket in LISTEN, a UDP socket without a peer.
const TCP_LISTEN: &str = "0A";
const UDP_OPEN: &str = "07";

/// The tables, and what they are of. A kernel without a protocol has no such file.
pub const TABLES: [(Transport, &str); 4] = [
    (Transport::Tcp, "/proc/net/tcp"),
    (Transport::Tcp, "/proc/net/tcp6"),
    (Transport::Udp, "/proc/net/udp"),
    (Transport::Udp, "/proc/net/udp6"),
];

/// A socket that listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listening {
    /// Of what its port is.
    pub transport: Transport,
    /// Its port.
    pub port: u16,
    /// The address it is bound to.
    pub address: IpAddr,
    /// Its number, by which a process that holds it is found.
    pub inode: u64,
}

impl Listening {
    /// Whether a connection to the loopback address 127.0.0.1 or ::1 gets to it.
    pub fn is_on_loopback(&self) -> bool {
        match self.address {
            IpAddr::V4(address) => address.is_unspecified() || address == Ipv4Addr::LOCALHOST,
            IpAddr::V6(address) => address.is_unspecified() || address == Ipv6Addr::LOCALHOST,
        }
    }
}

/// The sockets of one table that listen. A line that is not understood is passed over.
pub fn listening(transport: Transport, table: &str) -> impl Iterator<Item = Listening> {
    table.lines().filter_map(move |line| socket(transport, line))
}

/// `sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode …`, with addresses as hexadecimal words in
/// the machine's byte order.
fn socket(transport: Transport, line: &str) -> Option<Listening> {
    let mut fields = line.split_ascii_whitespace();
    let (address, port) = fields.nth(1)?.split_once(':')?;
    let state = fields.nth(1)?;
    let listens = match transport {
        Transport::Tcp => state == TCP_LISTEN,
        Transport::Udp => state == UDP_OPEN,
    };
    if !listens {
        return None;
    }
    Some(Listening {
        transport,
        port: u16::from_str_radix(port, 16).ok()?,
        address: parse_address(address)?,
        inode: fields.nth(5)?.parse().ok()?,
    })
}

fn parse_address(text: &str) -> Option<IpAddr> {
    let mut bytes = [0; 16];
    let words = text.as_bytes().chunks(8);
    let count = words.len();
    if !text.len().is_multiple_of(8) || count > 4 {
        return None;
    }
    for (word, slot) in words.zip(bytes.chunks_exact_mut(4)) {
        let word = std::str::from_utf8(word).ok()?;
        slot.copy_from_slice(&u32::from_str_radix(word, 16).ok()?.to_ne_bytes());
    }
    match count {
        1 => Some(Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]).into()),
        4 => Some(Ipv6Addr::from(bytes).into()),
        _ => None,
    }
}

/// The number of a socket that a descriptor's link in `/proc/PID/fd` names.
pub fn inode_of_link(link: &[u8]) -> Option<u64> {
    let number = link.strip_prefix(b"socket:[")?.strip_suffix(b"]")?;
    std::str::from_utf8(number).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_listening_sockets_are_told() {
        let table = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 x
   1: 0100007F:0016 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 x
";
        let found: Vec<_> = listening(Transport::Tcp, table).collect();
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let expected = Listening {
            transport: Transport::Tcp,
            port: 22,
            address,
            inode: 4711,
        };
        assert_eq!(found, [expected]);
        assert!(expected.is_on_loopback());
    }

    #[test]
    fn udp_has_a_state_of_its_own() {
        let line = "  9: 00000000000000000000000001000000:1F90 00000000000000000000000000000000:0000 07 \
                    00000000:00000000 00:00000000 00000000     0        0 99 2 x 0";
        let found: Vec<_> = listening(Transport::Udp, line).collect();
        assert_eq!(
            (found[0].address, found[0].port),
            (IpAddr::V6(Ipv6Addr::LOCALHOST), 8080)
        );
        assert_eq!(listening(Transport::Tcp, line).count(), 0);
    }

    #[test]
    fn descriptors_name_sockets() {
        assert_eq!(inode_of_link(b"socket:[17]"), Some(17));
        assert_eq!(inode_of_link(b"pipe:[17]"), None);
        assert_eq!(inode_of_link(b"/tmp/socket:[17]"), None);
    }

    proptest! {
        /// A table that the kernel would write is read back.
        #[test]
        fn tables_are_read(address: [u8; 4], port: u16, inode: u64) {
            let word = u32::from_ne_bytes(address);
            let line = format!(
                "   0: {word:08X}:{port:04X} 00000000:0000 0A 00000000:00000000 00:00000000 00000000  0  0 {inode} 1"
            );
            let found: Vec<_> = listening(Transport::Tcp, &line).collect();
            prop_assert_eq!(found.len(), 1);
            prop_assert_eq!((found[0].address, found[0].port, found[0].inode), (address.into(), port, inode));
        }

        #[test]
        fn no_text_panics(text in "[ 0-9A-Fa-f:\\n\u{e9}]{0,120}") {
            let _ = listening(Transport::Tcp, &text).count();
            let _ = listening(Transport::Udp, &text).count();
            let _ = parse_address(&text);
        }
    }
}
