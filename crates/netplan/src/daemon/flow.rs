//! Flows of VMs, as the packet filter logs them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use banger_model::network::{FlowRule, Network, Slot};
use serde::de::{IntoDeserializer, value::StrDeserializer};
use serde::{Deserialize, Serialize};

use crate::Logged;

const TCP: u8 = 6;
const UDP: u8 = 17;

/// The start of a flow, or a packet that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// The VM that sent it, by where it came from.
    pub slot: Option<Slot>,
    /// Whether it went on.
    pub allowed: bool,
    /// Why.
    pub rule: FlowRule,
    /// Who it said that it is; none for what is no IP.
    pub source: Option<IpAddr>,
    /// Where it was bound.
    pub destination: Option<IpAddr>,
    /// The protocol's number (IANA): 6 is TCP, 17 is UDP.
    pub protocol: u8,
    /// The destination's port, for TCP and UDP.
    pub port: Option<u16>,
}

impl Flow {
    /// What an IP packet says of itself; the rest is to be filled in. What is no packet, or less than one, says nothing.
    pub fn of_packet(packet: &[u8]) -> Self {
        let mut flow = Self {
            slot: None,
            allowed: false,
            rule: FlowRule::Unlisted,
            source: None,
            destination: None,
            protocol: 0,
            port: None,
        };
        read_packet(packet, &mut flow);
        flow
    }

    /// What the packet filter logged, in this network: its prefix is `banger:VERDICT:RULE` up to a zero. None if it is no prefix
    /// of the filter's.
    pub fn of_log(logged: &Logged, network: Option<&Network>) -> Option<Self> {
        let text = std::str::from_utf8(&logged.prefix).ok()?.trim_end_matches('\0');
        let (verdict, rule) = text.strip_prefix("banger:")?.split_once(':')?;
        let rule: StrDeserializer<'_, serde::de::value::Error> = rule.into_deserializer();
        let flow = Self::of_packet(&logged.packet);
        let by_address = |network: &Network| network.slot(flow.source?);
        Some(Self {
            slot: logged.port.or_else(|| network.and_then(by_address)),
            allowed: verdict == "allow",
            rule: FlowRule::deserialize(rule).ok()?,
            ..flow
        })
    }
}

impl Flow {
    /// The protocol by its name, where that is well known, else by its number.
    pub fn protocol_name(&self) -> String {
        match self.protocol {
            TCP => "tcp".to_owned(),
            UDP => "udp".to_owned(),
            1 => "icmp".to_owned(),
            58 => "icmpv6".to_owned(),
            other => other.to_string(),
        }
    }
}

/// Reads addresses, protocol and port of an IP packet (RFC 791, RFC 8200); what is none stays unknown.
fn read_packet(packet: &[u8], flow: &mut Flow) -> Option<()> {
    let header = match packet.first()? >> 4 {
        4 => {
            let address =
                |at: usize| Some(Ipv4Addr::from(<[u8; 4]>::try_from(packet.get(at..at + 4)?).ok()?));
            (flow.source, flow.destination) = (address(12).map(IpAddr::V4), address(16).map(IpAddr::V4));
            flow.protocol = *packet.get(9)?;
            usize::from(packet.first()? & 15) * 4
        }
        6 => {
            let address = |at: usize| {
                Some(Ipv6Addr::from(
                    <[u8; 16]>::try_from(packet.get(at..at + 16)?).ok()?,
                ))
            };
            (flow.source, flow.destination) = (address(8).map(IpAddr::V6), address(24).map(IpAddr::V6));
            flow.protocol = *packet.get(6)?;
            40
        }
        _ => return None,
    };
    if matches!(flow.protocol, TCP | UDP) {
        let port = packet.get(header + 2..header + 4)?;
        flow.port = Some(u16::from_be_bytes(port.try_into().ok()?));
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use banger_model::network::{Subnet, Ula};

    use super::*;

    #[test]
    fn a_logged_packet_says_who_whither_and_why() {
        let network = Network {
            subnet: Subnet::preferred(),
            ula: Ula::from_seed(b"test"),
            mtu: 1500,
            pool: 0,
        };
        let mut packet = [0; 28];
        (packet[0], packet[9]) = (0x45, UDP);
        packet[12..20].copy_from_slice(&[172, 16, 0, 2, 1, 1, 1, 1]);
        packet[22..24].copy_from_slice(&53_u16.to_be_bytes());
        let of_log = |prefix: &[u8], packet: &[u8]| {
            let logged = Logged {
                port: None,
                prefix: prefix.to_owned(),
                packet: packet.to_owned(),
            };
            Flow::of_log(&logged, Some(&network))
        };
        let flow = of_log(b"banger:deny:resolver\0", &packet).unwrap();
        assert_eq!(flow.slot, Some(Slot(0)));
        assert_eq!((flow.allowed, flow.rule), (false, FlowRule::Resolver));
        assert_eq!(flow.source, Some("172.16.0.2".parse().unwrap()));
        assert_eq!(flow.destination, Some("1.1.1.1".parse().unwrap()));
        assert_eq!((flow.protocol, flow.port), (UDP, Some(53)));
        // Half of a packet says half of it.
        let half = of_log(b"banger:allow:nat", &packet[..16]).unwrap();
        assert_eq!((half.allowed, half.destination), (true, None));
        for other in ["", "banger:", "banger:deny", "banger:deny:that", "ufw:deny:nat"] {
            assert_eq!(of_log(other.as_bytes(), &packet), None);
        }
    }
}
