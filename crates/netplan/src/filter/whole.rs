//! The whole filter.

use std::collections::BTreeSet;

use banger_model::network::Slot;

use super::change::{answers, change};
use super::elements::all_elements;
use super::text::{base, no_tables};
use crate::{Answer, Plan};

/// The whole filter of a plan, and of the answers that live.
pub fn whole(owner: u32, plan: &Plan, answers_of: impl Fn(Slot) -> Vec<Answer>) -> String {
    let Some(network) = plan.network() else {
        return no_tables(owner);
    };
    let mut script = base(owner, plan.log_group, network, plan.apart)
        + &change(owner, &BTreeSet::new(), &all_elements(owner, plan));
    for &slot in plan.members.keys() {
        script += &answers(owner, network, slot, &answers_of(slot), &["add"]);
    }
    script
}
