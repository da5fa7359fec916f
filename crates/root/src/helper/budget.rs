//! How much one owner may have of the host: what a program of the owner's may ask of the helper without end.

use std::time::Instant;

use banger_model::network::Slot;
use banger_netplan::Rules;

use super::{Helper, Refusal};

/// The most VMs with a card; a bridge of Linux has at most 1,023 ports, of which 64 may wait.
pub(super) const MAX_VMS: usize = 950;
/// The most rules of all VMs together.
pub(super) const MAX_RULES: usize = 16_384;
/// The most addresses that names resolved to, of all VMs together.
pub(super) const MAX_ANSWERS: usize = 65_536;
/// The most blocks that a daemon finds out to be refused.
pub(super) const MAX_REFUSED: usize = 1_024;
/// How many times a second answers may be brought for long, and how many at once: each is a change of the packet filter.
const RATE: f64 = 200.0;
const BURST: f64 = 1_000.0;

/// What may be asked at once now.
#[derive(Debug, Default)]
pub(super) struct Rate(Option<(Instant, f64)>);

impl Rate {
    /// Takes one of what is left, if there is one.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let (last, left) = self.0.unwrap_or((now, BURST));
        let grown = left + now.saturating_duration_since(last).as_secs_f64() * RATE;
        let left = grown.min(BURST);
        let taken = left >= 1.0;
        self.0 = Some((now, if taken { left - 1.0 } else { left }));
        taken
    }
}

impl Helper {
    /// That there may be one more VM, or another with these rules.
    pub(super) fn afford(&self, slot: Slot, rules: &Rules) -> Result<(), Refusal> {
        let others = self.plan.members.iter().filter(|(at, _)| **at != slot);
        let (vms, had) = others.fold((0, 0), |(vms, had), (_, member)| {
            (vms + 1, had + member.rules.count())
        });
        if vms >= MAX_VMS {
            return Err(Refusal::Budget("VMs", MAX_VMS));
        }
        if had + rules.count() > MAX_RULES {
            return Err(Refusal::Budget("rules of VMs", MAX_RULES));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_is_served_and_a_flood_is_not() {
        let (mut rate, start) = (Rate::default(), Instant::now());
        let served = (0..5000).filter(|_| rate.take(start)).count();
        assert_eq!(served, 1000);
        let later = start + Duration::from_secs(2);
        assert_eq!((0..5000).filter(|_| rate.take(later)).count(), 400);
        // A clock that stands still gives nothing.
        assert!(!rate.take(start));
    }
}
