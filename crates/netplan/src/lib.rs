//! The plan of a user's network: what shall be on the host, as the root helper makes it, and what is there instead.
//!
//! The model has the values (addresses, slots, policies); here is what follows from them. [`Rules`] are what a VM may reach, with
//! every name become a number, [`Plan`] is what shall be there, [`filter`] is the packet filter's text, [`Audit`] is the host
//! beside the plan. Everything is derived or decided, nothing is looked up. The root helper and the daemon use it and nobody
//! else, so that a change of the packet filter is no change of the others.

mod answers;
mod conflict;
mod daemon;
pub mod filter;
mod plan;
pub mod resolved;
mod rules;
mod seen;

pub use answers::{Answer, Answers, MAX_ALIVE};
pub use conflict::{Conflict, Use, conflict, resolvers};
pub use daemon::{
    DNS_OVER_HTTPS, Flow, IPV4_ONLY, RESOLVER_PORTS, Seen, Target, Translator, fewest, is_resolver,
    refused_by, translators,
};
pub use plan::{Member, Plan, Prepared};
pub use rules::{NetRule, Rules};
pub use seen::{Audit, Logged};
