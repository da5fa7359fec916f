//! The values of networks: which addresses, names and hardware addresses VMs have, and what a user lets each reach.
//!
//! Everything here is derived or decided, nothing is looked up: a VM's *slot*, a small number that it keeps, gives
//! its addresses ([`Subnet`], [`Ula`]) and its TAP's name ([`tap_name`]); its id gives its [`Mac`]. What a user
//! writes is a [`Policy`]. What follows from these for the host is `banger-netplan`.

/// A type that is recorded and sent as its text.
macro_rules! as_text {
    ($type:ty) => {
        impl TryFrom<String> for $type {
            type Error = <$type as std::str::FromStr>::Err;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(value: $type) -> Self {
                value.to_string()
            }
        }
    };
}

mod cidr;
mod daemon;
mod mac;
mod mode;
mod refused;
mod room;
mod slot;
mod subnet;

pub use cidr::{Cidr, InvalidCidr, merged};
pub use daemon::{
    Allow, DomainName, Finding, FlowRule, InvalidAllow, NetworkChoice, ParseNetModeError, Policy,
    choose_slot, is_refused,
};
pub use mac::{InvalidMac, Mac};
pub use mode::{InvalidRules, MAX_RULES, NetMode};
pub use refused::{Refused, Surroundings, refused};
pub use room::{InvalidRoom, Room};
pub use slot::{Slot, bridge_name, slot_of_tap, spare_prefix, spare_tap_name, tap_name, tap_prefix};
pub use subnet::{InvalidNetwork, InvalidSubnet, MAX_POOL, Network, Subnet, Ula};
