//! What only daemons do with the plan: what a user's policy comes to, what people are told of flows and of the host, how a network
//! leads to IPv4. The root helper links none of it.

mod audit;
mod egress;
mod flow;
mod policy;
mod resolvers;
mod translator;

pub use egress::{Seen, Target, fewest};
pub use flow::Flow;
pub use resolvers::{DNS_OVER_HTTPS, RESOLVER_PORTS, is_resolver};
pub use translator::{IPV4_ONLY, Translator, refused_by, translators};
