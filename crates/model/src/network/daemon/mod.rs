//! What only daemons and clients do with the network model: what users write, what a new VM gets, what people are told. The root
//! helper links none of it.

mod allow;
mod backend;
mod choice;
mod domain;
mod finding;
mod flow_rule;
mod lookup;
mod policy;
mod refusal;
mod slots;
mod words;

pub use allow::{Allow, InvalidAllow};
pub use backend::NetworkChoice;
pub use domain::DomainName;
pub use finding::Finding;
pub use flow_rule::FlowRule;
pub use policy::{ParseNetModeError, Policy};
pub use refusal::is_refused;
pub use slots::choose_slot;
