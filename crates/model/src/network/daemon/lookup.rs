//! Whose an address is.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::super::{Network, Slot, Subnet, Ula};

impl Network {
    /// The slot that has an address.
    pub fn slot(&self, address: IpAddr) -> Option<Slot> {
        match address {
            IpAddr::V4(v4) => self.subnet.slot(v4),
            IpAddr::V6(v6) => self.ula.slot(v6),
        }
    }
}

impl Subnet {
    /// The slot of an address.
    pub fn slot(&self, address: Ipv4Addr) -> Option<Slot> {
        let at = address.to_bits().checked_sub(self.address(Slot(0))?.to_bits())?;
        let slot = Slot(u16::try_from(at).ok()?);
        (slot.0 < self.capacity()).then_some(slot)
    }
}

impl Ula {
    /// The slot of an address.
    pub fn slot(&self, address: Ipv6Addr) -> Option<Slot> {
        let at = address.to_bits().checked_sub(self.address(Slot(0)).to_bits())?;
        u16::try_from(at).ok().map(Slot)
    }
}
