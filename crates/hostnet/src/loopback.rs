//! Who answers at the loopback address where this host's programs ask for names: seen from outside, by asking.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

/// Longer than a resolver at loopback takes that has to look nothing up.
const PATIENCE: Duration = Duration::from_millis(500);

/// The question for the SOA record of `vm.` (RFC 1035, 4.1), without recursion.
const QUESTION: [u8; 20] = [
    0x62, 0x67, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, // id, flags, one question
    2, b'v', b'm', 0, 0, 6, 0, 1, // vm., SOA, IN
];
/// Of the first byte of flags: a response; authoritative.
const ANSWERED: u8 = 0x80 | 0x04;

/// Who answers there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answers {
    /// A resolver of banger's.
    Banger,
    /// A resolver of banger's that is another user's: it knows their VMs, and none of this user's.
    BangerOf(u32),
    /// Nobody.
    Nobody,
    /// Another program has the port.
    Another,
}

/// Asks.
pub fn who_answers(address: SocketAddr) -> Answers {
    let ask = || {
        let ours = match address.ip() {
            IpAddr::V4(_) => "127.0.0.1:0",
            IpAddr::V6(_) => "[::1]:0",
        };
        let socket = UdpSocket::bind(ours)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.connect(address)?;
        socket.send(&QUESTION)?;
        let mut reply = [0; 512];
        let length = socket.recv(&mut reply)?;
        Ok::<_, std::io::Error>(is_authority(&reply[..length]))
    };
    match ask() {
        Ok(true) => match holder(address).filter(|uid| *uid != rustix::process::geteuid().as_raw()) {
            Some(other) => Answers::BangerOf(other),
            None => Answers::Banger,
        },
        // Where no one listens the kernel says so.
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Answers::Nobody,
        Ok(false) | Err(_) => Answers::Another,
    }
}

/// The user whose socket has the address, if the kernel lists one (proc_net_udp).
fn holder(address: SocketAddr) -> Option<u32> {
    let name = if address.is_ipv4() { "udp" } else { "udp6" };
    let table = std::fs::read_to_string(format!("/proc/self/net/{name}")).ok()?;
    holder_in(&table, address)
}

fn holder_in(table: &str, address: SocketAddr) -> Option<u32> {
    let words = |bytes: &[u8]| -> String {
        let word = |word: &[u8]| u32::from_ne_bytes(word.try_into().unwrap_or_default());
        bytes
            .chunks(4)
            .map(|part| format!("{:08X}", word(part)))
            .collect()
    };
    let ip = match address.ip() {
        IpAddr::V4(ip) => words(&ip.octets()),
        IpAddr::V6(ip) => words(&ip.octets()),
    };
    let port = format!("{:04X}", address.port());
    // One that is bound to every address has this one too.
    let any = "0".repeat(ip.len());
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (bound, at) = fields.get(1)?.split_once(':')?;
        let has = at == port && (bound == ip || bound == any);
        has.then(|| fields.get(7)?.parse().ok()).flatten()
    })
}

/// Whether this is an answer of who has the zone.
fn is_authority(reply: &[u8]) -> bool {
    let code = |byte: u8| byte & 0x0f;
    reply.len() > QUESTION.len()
        && reply[..2] == QUESTION[..2]
        && reply[2] & ANSWERED == ANSWERED
        && code(reply[3]) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_program_is_told_from_nobody() {
        let other = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = other.local_addr().unwrap();
        assert_eq!(who_answers(address), Answers::Another);
        drop(other);
        assert_eq!(who_answers(address), Answers::Nobody);
    }

    #[test]
    fn whose_the_port_is_is_known() {
        const TABLE: &str = "\
   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  171: 0100007F:14EB 00000000:0000 07 00000000:00000000 00:00000000 00000000  1001        0 12345 2 0000000000000000 0
";
        let of = |address: &str| holder_in(TABLE, address.parse().unwrap());
        assert_eq!(of("127.0.0.1:5355"), Some(1001));
        assert_eq!((of("127.0.0.2:5355"), of("127.0.0.1:5354")), (None, None));
        let own = UdpSocket::bind("127.0.0.1:0").unwrap();
        let uid = rustix::process::geteuid().as_raw();
        assert_eq!(holder(own.local_addr().unwrap()), Some(uid));
    }
}
