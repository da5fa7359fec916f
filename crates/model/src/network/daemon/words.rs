//! What follows from a VM's id, and how modes, networks and decisions are told to people.

use std::fmt;

use super::super::{Mac, NetMode, Subnet, Ula};
use super::FlowRule;
use crate::VmId;

impl Mac {
    /// The address of a VM's card: five bytes of its id behind a first byte that marks it local.
    pub const fn of_vm(id: &VmId) -> Self {
        let id = id.as_bytes();
        Self([0x06, id[3], id[4], id[5], id[6], id[7]])
    }
}

impl fmt::Display for NetMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cidr().fmt(f)
    }
}

impl fmt::Display for Ula {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cidr().fmt(f)
    }
}

impl FlowRule {
    /// Why a flow was allowed or denied, in words.
    pub const fn in_words(self, allowed: bool) -> &'static str {
        match (self, allowed) {
            (Self::Nat, _) => "net nat",
            (Self::Learn, _) => "net learn",
            (Self::Rule, _) => "an address in its rules",
            (Self::Answer, _) => "a name in its rules",
            (Self::Peer, true) => "a VM in its rules",
            (Self::Peer, false) => "another VM",
            (Self::Host, true) => "a port of the host in its rules",
            (Self::Host, false) => "the host itself",
            (Self::Off, _) => "net off",
            (Self::Private, _) => "not the public Internet",
            (Self::Neighbour, _) => "a network of this host",
            (Self::Resolver, _) => "another resolver",
            (Self::Doh, _) => "a resolver over HTTPS",
            (Self::Unlisted, _) => "in no rule",
            (Self::Spoofed, _) => "not its own address",
        }
    }
}
