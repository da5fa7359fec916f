//! What names resolved to: addresses that a VM may reach until they expire.

use std::time::Instant;

use banger_model::network::{NetMode, Slot};
use banger_netplan::{Answer, filter};

use super::budget::MAX_ANSWERS as MAX_OF_ALL;
use super::{Helper, Refusal};
use crate::wire::MAX_ANSWERS;

impl Helper {
    pub(super) fn answer(&mut self, slot: Slot, answers: &[Answer]) -> Result<(), Refusal> {
        self.network()?;
        match self.plan.members.get(&slot) {
            None => return Err(Refusal::NotAttached(slot)),
            Some(member) if member.rules.mode == NetMode::Off => return Err(Refusal::ModeOff(slot)),
            Some(_) => {}
        }
        if answers.len() > MAX_ANSWERS {
            return Err(Refusal::Answers(answers.len()));
        }
        // A name of an attacker's may resolve to anything: to this host, to its neighbours, to metadata.
        let refused = self.plan.around.refused();
        if let Some(answer) = answers.iter().find(|answer| refused.contains(answer.address)) {
            return Err(Refusal::Answer(answer.address));
        }
        if !self.known.rate.take(Instant::now()) {
            return Err(Refusal::Flood);
        }
        let others = self.known.answers.iter().filter(|(at, _)| **at != slot);
        let others: usize = others.map(|(_, answers)| answers.count()).sum();
        if others + answers.len() > MAX_OF_ALL {
            return Err(Refusal::Budget("answers", MAX_OF_ALL));
        }
        let had = self.known.answers.get(&slot).cloned().unwrap_or_default();
        let with = had.with(Instant::now(), answers);
        let (alive, told) = with.ok_or(Refusal::Answers(answers.len()))?;
        let script = filter::answers(self.owner, self.network()?, slot, &told, &filter::RENEW);
        self.known.answers.insert(slot, alive);
        Ok(self.load("allow the addresses that names resolved to", script)?)
    }
}
