//! What only daemons do with the network model: what users write, what a new VM gets, what people are told. The root helper
//! links none of it.

mod allow;
mod audit;
mod choice;
mod egress;
mod flow;
mod policy;
mod resolvers;
mod slots;
mod translator;
mod words;

pub use allow::{Allow, DomainName, InvalidAllow};
pub use audit::Finding;
pub use egress::{Seen, Target, fewest};
pub use flow::{Flow, FlowRule};
pub use policy::{ParseNetModeError, Policy};
pub use resolvers::{DNS_OVER_HTTPS, RESOLVER_PORTS, is_refused, is_resolver};
pub use slots::choose_slot;
pub use translator::{IPV4_ONLY, Translator, refused_by, translators};
