//! What names resolved to: addresses that a VM may reach until they expire.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use banger_model::network::{NetMode, Slot, is_refused};

use super::{Helper, Refusal};
use crate::kernel::Step;
use crate::rules;
use crate::wire::{Answer, MAX_ANSWERS};

/// How many answers of one VM live at a time.
const MAX_ALIVE: usize = 4096;
/// The longest life of an answer.
const MAX_TTL: u32 = 86_400;

/// The answers of one VM, which a filter that is loaded anew gets again.
#[derive(Debug, Clone, Default)]
pub(super) struct Answers(BTreeMap<(IpAddr, Option<u16>), Instant>);

impl Answers {
    /// Those that live, with the whole seconds that they still do.
    pub(super) fn alive(&self) -> Vec<(IpAddr, Option<u16>, u64)> {
        let now = Instant::now();
        let left = |end: &Instant| end.saturating_duration_since(now).as_secs();
        self.0
            .iter()
            .map(|(&(address, port), end)| (address, port, left(end)))
            .filter(|answer| answer.2 > 0)
            .collect()
    }
}

impl Helper {
    pub(super) fn answer(&mut self, slot: Slot, answers: &[Answer]) -> Result<(), Refusal> {
        let network = self.network()?;
        let member = self.plan.members.get(&slot).ok_or(Refusal::NotAttached(slot))?;
        if member.rules.mode == NetMode::Off {
            return Err(Refusal::ModeOff(slot));
        }
        // A name of an attacker's may resolve to anything: to this host, to its neighbours, to metadata.
        if let Some(answer) = answers.iter().find(|answer| is_refused(answer.address)) {
            return Err(Refusal::Answer(answer.address));
        }
        let now = Instant::now();
        let mut alive = self.answers.get(&slot).cloned().unwrap_or_default();
        alive.0.retain(|_, end| *end > now);
        let mut fresh = BTreeMap::new();
        for answer in answers {
            let ttl = answer.ttl.clamp(1, MAX_TTL);
            fresh.insert((answer.address, answer.port), u64::from(ttl));
            alive.0.insert(
                (answer.address, answer.port),
                now + Duration::from_secs(ttl.into()),
            );
        }
        if answers.len() > MAX_ANSWERS || alive.0.len() > MAX_ALIVE {
            return Err(Refusal::Answers(answers.len().max(alive.0.len())));
        }
        let fresh: Vec<_> = fresh
            .into_iter()
            .map(|((address, port), ttl)| (address, port, ttl))
            .collect();
        let script = rules::answers(self.owner, network, slot, &fresh);
        self.answers.insert(slot, alive);
        Ok(self.load(Step::Filter {
            what: "open what names resolved to",
            script,
        })?)
    }
}
