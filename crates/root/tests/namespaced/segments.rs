//! Packets made by hand: what no well-behaved stack sends.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use super::netns::Netns;

pub(crate) const SYN: u8 = 2;
pub(crate) const RST: u8 = 4;
pub(crate) const ACK: u8 = 16;

/// A TCP segment in an IP packet of its own, with checksums.
pub(crate) fn tcp(from: SocketAddr, to: SocketAddr, seq: u32, ack: u32, flags: u8) -> Vec<u8> {
    let mut segment = [from.port().to_be_bytes(), to.port().to_be_bytes()].concat();
    segment.extend(seq.to_be_bytes());
    segment.extend(ack.to_be_bytes());
    segment.extend([0x50, flags, 0x10, 0, 0, 0, 0, 0]);
    transport(from.ip(), to.ip(), 6, segment, 16)
}

/// A datagram that only looks like one: eight bytes of header, which is all that an ICMP error quotes.
pub(crate) fn udp(from: SocketAddr, to: SocketAddr) -> Vec<u8> {
    let ports = [from.port().to_be_bytes(), to.port().to_be_bytes()].concat();
    transport(from.ip(), to.ip(), 17, [&ports[..], &[0, 8, 0, 0]].concat(), 6)
}

/// What is behind every ICMP message that is made here.
const MARK: [u8; 40] = [b'!'; 40];

/// An ICMP message of this kind and code.
pub(crate) fn icmp(from: IpAddr, to: IpAddr, kind: [u8; 2], rest: &[u8]) -> Vec<u8> {
    let protocol = if from.is_ipv4() { 1 } else { 58 };
    transport(from, to, protocol, [&kind[..], &[0, 0], rest, &MARK].concat(), 2)
}

/// The checksum goes to `at`. ICMP of IPv4 is the one without a pseudo header.
fn transport(from: IpAddr, to: IpAddr, protocol: u8, mut body: Vec<u8>, at: usize) -> Vec<u8> {
    let (octets, length) = (|ip: IpAddr| banger_netlink::route::octets(ip), body.len());
    let pseudo = [
        octets(from),
        octets(to),
        (length as u32).to_be_bytes().to_vec(),
        u32::from(protocol).to_be_bytes().to_vec(),
    ];
    let covered = if protocol == 1 {
        Vec::new()
    } else {
        pseudo.concat()
    };
    let sum = checksum(&[covered, body.clone()].concat());
    body[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    let header = match from {
        IpAddr::V4(_) => {
            let total = (20 + length as u16).to_be_bytes();
            let mut header = vec![0x45, 0, total[0], total[1], 0, 1, 0x40, 0, 64, protocol, 0, 0];
            header.extend(octets(from));
            header.extend(octets(to));
            let sum = checksum(&header);
            header[10..12].copy_from_slice(&sum.to_be_bytes());
            header
        }
        IpAddr::V6(_) => {
            let payload = (length as u16).to_be_bytes();
            let mut header = vec![0x60, 0, 0, 0, payload[0], payload[1], protocol, 64];
            header.extend(octets(from));
            header.extend(octets(to));
            header
        }
    };
    [header, body].concat()
}

fn checksum(bytes: &[u8]) -> u16 {
    let word = |pair: &[u8]| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u32::from(*low));
    let mut sum: u32 = bytes.chunks(2).map(word).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// Sends a whole IP packet.
pub(crate) fn send(netns: &Netns, to: IpAddr, packet: &[u8]) {
    netns.run(|| {
        let family = if to.is_ipv4() {
            libc::AF_INET
        } else {
            libc::AF_INET6
        };
        // SAFETY: it takes three numbers, and gives a descriptor that nobody else has.
        let socket = unsafe { libc::socket(family, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::IPPROTO_RAW) };
        assert!(socket >= 0, "{}", io::Error::last_os_error());
        // SAFETY: as above.
        let socket = unsafe { OwnedFd::from_raw_fd(socket) };
        // The port of a raw socket's address is zero (raw(7)).
        rustix::net::sendto(
            &socket,
            packet,
            rustix::net::SendFlags::empty(),
            &SocketAddr::new(to, 0),
        )
        .expect("send a packet");
    });
}

/// All that comes to and goes from a namespace, as IP packets.
pub(crate) struct Tap(OwnedFd);

impl Tap {
    pub(crate) fn new(netns: &Netns) -> Self {
        let every = (libc::ETH_P_ALL as u16).to_be();
        let socket = netns.run(|| {
            let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC;
            // SAFETY: it takes three numbers, and gives a descriptor that nobody else has.
            unsafe { libc::socket(libc::AF_PACKET, kind, i32::from(every)) }
        });
        assert!(socket >= 0, "{}", io::Error::last_os_error());
        // SAFETY: as above.
        let tap = Self(unsafe { OwnedFd::from_raw_fd(socket) });
        let short = libc::timeval {
            tv_sec: 0,
            tv_usec: 50_000,
        };
        // SAFETY: the descriptor is open, and the kernel reads one `timeval`, which lives here.
        let set = unsafe {
            libc::setsockopt(
                tap.0.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_RCVTIMEO,
                (&raw const short).cast(),
                size_of::<libc::timeval>() as libc::socklen_t,
            )
        };
        assert_eq!(set, 0);
        tap
    }

    /// The packets that were seen in this time, or up to the first that `is`.
    pub(crate) fn seen(&self, time: Duration, is: impl Fn(&Packet) -> bool) -> Vec<Packet> {
        let (end, mut all, mut buffer) = (Instant::now() + time, Vec::new(), [0; 2048]);
        while Instant::now() < end {
            if let Ok((length, _)) =
                rustix::net::recv(&self.0, &mut buffer[..], rustix::net::RecvFlags::empty())
                && let Some(packet) = Packet::of(&buffer[..length])
            {
                let found = is(&packet);
                all.push(packet);
                if found {
                    break;
                }
            }
        }
        all
    }
}

/// What a packet is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) from: IpAddr,
    pub(crate) to: IpAddr,
    pub(crate) protocol: u8,
    /// What is behind the IP header.
    pub(crate) body: Vec<u8>,
}

impl Packet {
    fn of(bytes: &[u8]) -> Option<Self> {
        let v6 = |at: usize| Some(IpAddr::from(<[u8; 16]>::try_from(bytes.get(at..at + 16)?).ok()?));
        let v4 = |at: usize| {
            let octets = <[u8; 4]>::try_from(bytes.get(at..at + 4)?).ok()?;
            Some(IpAddr::V4(Ipv4Addr::from(octets)))
        };
        let (from, to, protocol, header) = match bytes.first()? >> 4 {
            4 => (v4(12)?, v4(16)?, bytes[9], usize::from(bytes[0] & 15) * 4),
            6 => (v6(8)?, v6(24)?, bytes[6], 40),
            _ => return None,
        };
        let body = bytes.get(header..)?.to_vec();
        Some(Self {
            from,
            to,
            protocol,
            body,
        })
    }

    pub(crate) fn is_tcp_with(&self, flag: u8) -> bool {
        self.protocol == 6 && self.body.get(13).is_some_and(|flags| flags & flag != 0)
    }

    /// Whether it is a segment of this connection, in this direction. Those of earlier ones are sent again for a while.
    pub(crate) fn is_tcp_of(&self, from: SocketAddr, to: SocketAddr) -> bool {
        self.protocol == 6 && self.from == from.ip() && self.ports() == Some((from.port(), to.port()))
    }

    /// Whether it is of the making of [`icmp`], whole or in a piece.
    pub(crate) fn is_marked(&self) -> bool {
        self.body.windows(20).any(|bytes| bytes == &MARK[..20])
    }

    pub(crate) fn is_error(&self) -> bool {
        matches!((self.protocol, self.body.first()), (1, Some(3)) | (58, Some(1)))
    }

    pub(crate) fn ports(&self) -> Option<(u16, u16)> {
        let [a, b, c, d] = *self.body.first_chunk()?;
        Some((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
    }

    /// What it says came next, and what it waits for.
    pub(crate) fn numbers(&self) -> Option<(u32, u32)> {
        let number = |at: usize| Some(u32::from_be_bytes(self.body.get(at..at + 4)?.try_into().ok()?));
        Some((number(4)?, number(8)?))
    }
}
