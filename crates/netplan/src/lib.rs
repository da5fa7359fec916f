//! The plan of a user's network: the intended state of the host, which the root helper establishes, and its comparison with the actual
//! state.
//!
//! The model has the values (addresses, slots, policies); here is what follows from them. [`Rules`] are what a VM may reach, with
//! every name become a number, [`Plan`] is what shall be there, [`filter`] is the packet filter's text, [`Audit`] is the host
//! beside the plan. Everything is derived or decided, nothing is looked up. The root helper and the daemon use it and nobody
//! else, so that a change of the packet filter is no change of the others.

mod answers;
pub mod daemon;
pub mod filter;
mod plan;
pub mod resolved;
mod rules;

pub use answers::{Answer, Answers, MAX_ALIVE};
pub use plan::{Audit, Conflict, Logged, Member, Plan, Prepared, Use, conflict, resolvers};
pub use rules::{NetRule, Rules};
