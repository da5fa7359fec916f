//! Hardware addresses.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A locally administered unicast hardware address (IEEE 802), written as `06:00:ac:10:00:02`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mac(pub(super) [u8; 6]);

/// A text that is no hardware address that a VM may have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid MAC address `{0}` for a VM: expected six bytes, locally administered, unicast")]
pub struct InvalidMac(String);

impl Mac {
    /// The address of a user's bridge, the same at each start so that guests need not learn a new one. No VM has it:
    /// its first byte is another one.
    pub const fn of_bridge(owner: u32) -> Self {
        let uid = owner.to_be_bytes();
        Self([0x0a, 0x62, uid[0], uid[1], uid[2], uid[3]])
    }

    /// The bytes, in order.
    pub const fn octets(&self) -> [u8; 6] {
        self.0
    }

    /// The link-local address that a guest's kernel makes of it (RFC 4291, appendix A).
    pub fn link_local(&self) -> Ipv6Addr {
        let [a, b, c, d, e, f] = self.0;
        let host = [a ^ 2, b, c, 0xff, 0xfe, d, e, f];
        Ipv6Addr::from_bits((0xfe80 << 112) | u128::from(u64::from_be_bytes(host)))
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for Mac {
    type Err = InvalidMac;

    fn from_str(text: &str) -> Result<Self, InvalidMac> {
        let byte = |part: &str| {
            let is_byte = part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit());
            u8::from_str_radix(part, 16).ok().filter(|_| is_byte)
        };
        let bytes: Option<Vec<u8>> = text.split(':').map(byte).collect();
        let bytes: Option<[u8; 6]> = bytes.and_then(|bytes| bytes.try_into().ok());
        // The two low bits of the first byte: group, and locally administered.
        let own = bytes.filter(|bytes| bytes[0] & 3 == 2);
        own.map(Self).ok_or_else(|| InvalidMac(text.to_owned()))
    }
}

as_text!(Mac);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::VmId;

    #[test]
    fn an_address_derives_from_the_id_and_reads_back() {
        let mac = Mac::of_vm(&VmId::from_bytes([0, 1, 2, 3, 0xfc, 0xfd, 0xfe, 0xff]));
        assert_eq!(mac.to_string(), "06:03:fc:fd:fe:ff");
        assert_eq!(mac.to_string().parse(), Ok(mac));
        assert_eq!(mac.link_local().to_string(), "fe80::403:fcff:fefd:feff");
        assert_eq!(Mac::of_bridge(1000).to_string(), "0a:62:00:00:03:e8");
    }

    #[test]
    fn group_and_foreign_addresses_are_refused() {
        for bad in [
            "ff:ff:ff:ff:ff:ff",
            "00:16:3e:00:00:01",
            "03:00:00:00:00:01",
            "06:0:0:0:0:1",
            "06:00:00:00:00",
            "06:00:00:00:00:+1",
        ] {
            assert!(bad.parse::<Mac>().is_err(), "{bad}");
        }
    }
}
