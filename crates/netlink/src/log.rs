//! Packets that a packet filter logs (NFLOG; the kernel's `include/uapi/linux/netfilter/nfnetlink_log.h`).

use crate::{Message, attributes};

/// The type of a message that is a logged packet.
pub const PACKET: u16 = 4 << 8;
const CONFIG: u16 = (4 << 8) | 1;
const CFG_CMD: u16 = 1;
const CFG_MODE: u16 = 2;
const CFG_QTHRESH: u16 = 5;
const IFINDEX_INDEV: u16 = 4;
const IFINDEX_PHYSINDEV: u16 = 6;
const PAYLOAD: u16 = 9;
const PREFIX: u16 = 10;

/// Messages by which a socket takes a group, each to be acknowledged: a message a packet, at once, with its first bytes.
pub fn take_group(group: u16, bytes: u32) -> [Message; 3] {
    let [high, low] = group.to_be_bytes();
    // Any family, version 0, the group.
    let config = || Message::new(CONFIG, libc::NLM_F_REQUEST | libc::NLM_F_ACK, &[0, 0, high, low]);
    let [a, b, c, d] = bytes.to_be_bytes();
    [
        // Bind.
        config().with(CFG_CMD, &[1]),
        // Whole packets (2), up to so many bytes.
        config().with(CFG_MODE, &[a, b, c, d, 2, 0]),
        config().with(CFG_QTHRESH, &1_u32.to_be_bytes()),
    ]
}

/// A packet that was logged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Packet<'a> {
    /// What the rule says, up to a zero.
    pub prefix: &'a [u8],
    /// The packet's first bytes, from its network header on.
    pub payload: &'a [u8],
    /// The numbers of the interfaces that it came by: of a bridge, and of the bridge's port where that is told apart.
    pub links: Vec<u32>,
}

/// The packet of a message of type [`PACKET`].
pub fn packet(body: &[u8]) -> Option<Packet<'_>> {
    let mut packet = Packet::default();
    for (kind, value) in attributes(body.get(4..)?) {
        match kind {
            PREFIX => packet.prefix = value,
            PAYLOAD => packet.payload = value,
            IFINDEX_INDEV | IFINDEX_PHYSINDEV => {
                packet.links.push(u32::from_be_bytes(value.try_into().ok()?))
            }
            _ => {}
        }
    }
    Some(packet)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::received;

    #[test]
    fn a_packet_is_read_with_both_its_interfaces() {
        let told = Message::new(PACKET, 0, &[7, 0, 0, 1])
            .with(IFINDEX_INDEV, &5_u32.to_be_bytes())
            .with(IFINDEX_PHYSINDEV, &9_u32.to_be_bytes())
            .with(PREFIX, b"banger:deny:off\0")
            .with(PAYLOAD, &[0x45, 0])
            .numbered(0);
        let expected = Packet {
            prefix: b"banger:deny:off\0",
            payload: &[0x45, 0],
            links: vec![5, 9],
        };
        assert_eq!(packet(received(&told).next().unwrap().body), Some(expected));
        assert_eq!(packet(&[0; 3]), None);
    }

    #[test]
    fn a_group_is_in_network_byte_order() {
        let [bind, mode, _] = take_group(0x4001, 128).map(|message| message.numbered(0));
        assert_eq!(bind[16..20], [0, 0, 0x40, 1]);
        assert_eq!(mode[24..30], [0, 0, 0, 128, 2, 0]);
    }
}
