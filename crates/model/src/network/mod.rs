//! The network plan: which addresses, names and hardware addresses VMs have, and what each may reach.
//!
//! Everything here is derived or decided, nothing is looked up: a VM's *slot*, a small number that it keeps, gives
//! its addresses ([`Subnet`], [`Ula`]) and its TAP's name ([`tap_name`]); its id gives its [`Mac`]. What a user
//! writes is a [`Policy`]; what the root helper is told is [`Rules`], in which every name has become a number.

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

mod answers;
mod cidr;
mod daemon;
pub mod filter;
mod mac;
mod plan;
mod refused;
pub mod resolved;
mod rules;
mod seen;
mod slot;
mod subnet;
mod uses;

pub use answers::{Answer, Answers, MAX_ALIVE};
pub use cidr::{Cidr, InvalidCidr, merged};
pub use daemon::{
    Allow, DNS_OVER_HTTPS, DomainName, Finding, Flow, FlowRule, IPV4_ONLY, InvalidAllow, ParseNetModeError,
    Policy, RESOLVER_PORTS, Seen, Target, Translator, choose_slot, fewest, is_refused, is_resolver,
    refused_by, translators,
};
pub use mac::{InvalidMac, Mac};
pub use plan::{InvalidNetwork, MAX_POOL, Member, Network, Plan, Prepared};
pub use refused::{Refused, Surroundings, refused};
pub use rules::{InvalidRules, MAX_RULES, NetMode, NetRule, Rules};
pub use seen::{Audit, Logged};
pub use slot::{Slot, bridge_name, slot_of_tap, spare_prefix, spare_tap_name, tap_name, tap_prefix};
pub use subnet::{InvalidSubnet, Subnet, Ula};
pub use uses::{Conflict, InvalidRoom, Room, Use, conflict, resolvers};
