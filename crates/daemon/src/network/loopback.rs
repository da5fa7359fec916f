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
pub(crate) enum Answers {
    /// A resolver of banger's.
    Banger,
    /// Nobody.
    Nobody,
    /// Another program has the port.
    Another,
}

/// Asks.
pub(crate) fn who_answers(address: SocketAddr) -> Answers {
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
        Ok(true) => Answers::Banger,
        // Where no one listens the kernel says so.
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Answers::Nobody,
        Ok(false) | Err(_) => Answers::Another,
    }
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
}
