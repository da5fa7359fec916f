//! What names resolved to: addresses that a VM may reach until they expire.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use banger_model::network::{Answered, NetMode, Slot, Step, filter, is_refused};

use super::{Helper, Refusal};
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
    pub(super) fn alive(&self) -> Vec<Answered> {
        let now = Instant::now();
        let left = |end: &Instant| end.saturating_duration_since(now).as_secs();
        let answered = |(&(address, port), end)| Answered {
            address,
            port,
            seconds: left(end),
            again: false,
        };
        self.0
            .iter()
            .map(answered)
            .filter(|answer| answer.seconds > 0)
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
        let mut told = BTreeMap::new();
        for answer in answers {
            let seconds = u64::from(answer.ttl.clamp(1, MAX_TTL));
            let key = (answer.address, answer.port);
            let again =
                alive.0.insert(key, now + Duration::from_secs(seconds)).is_some() && !told.contains_key(&key);
            told.insert(
                key,
                Answered {
                    address: answer.address,
                    port: answer.port,
                    seconds,
                    again,
                },
            );
        }
        if answers.len() > MAX_ANSWERS || alive.0.len() > MAX_ALIVE {
            return Err(Refusal::Answers(answers.len().max(alive.0.len())));
        }
        let script = filter::answers(self.owner, network, slot, told.values());
        self.answers.insert(slot, alive);
        Ok(self.load(Step::Filter {
            what: "open what names resolved to",
            script,
        })?)
    }
}
