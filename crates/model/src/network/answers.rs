//! What names resolved to for a VM, and for how long that lives.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::Answered;

/// How many answers of one VM live at a time.
pub const MAX_ALIVE: usize = 4096;
/// The longest life of an answer, in seconds.
const MAX_TTL: u32 = 86_400;

/// An address, and the port that it is limited to.
type Place = (IpAddr, Option<u16>);

/// The answers of one VM, with the moment at which each dies.
#[derive(Debug, Clone, Default)]
pub struct Answers(BTreeMap<Place, Instant>);

impl Answers {
    /// Those that live, as a filter is told that has none: with the whole seconds that they still do.
    pub fn alive(&self, now: Instant) -> Vec<Answered> {
        let answered = |(&(address, port), end): (&Place, &Instant)| Answered {
            address,
            port,
            seconds: end.saturating_duration_since(now).as_secs(),
            again: false,
        };
        let all = self.0.iter().map(answered);
        all.filter(|answer| answer.seconds > 0).collect()
    }

    /// How many there are, with those that died and were not looked at since.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The answers with these beside those that still live, and what the filter is told of these; of an address that
    /// comes twice, the last. None if more than [`MAX_ALIVE`] would live.
    pub fn with(
        &self,
        now: Instant,
        answers: impl Iterator<Item = (Place, u32)>,
    ) -> Option<(Self, Vec<Answered>)> {
        let mut alive = self.clone();
        alive.0.retain(|_, end| *end > now);
        let mut told = BTreeMap::new();
        for ((address, port), ttl) in answers {
            let seconds = u64::from(ttl.clamp(1, MAX_TTL));
            let answered = Answered {
                address,
                port,
                seconds,
                again: alive.0.contains_key(&(address, port)),
            };
            told.insert((address, port), answered);
        }
        let ends = told
            .iter()
            .map(|(&place, answer)| (place, now + Duration::from_secs(answer.seconds)));
        alive.0.extend(ends);
        (alive.0.len() <= MAX_ALIVE).then(|| (alive, told.into_values().collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place = (IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 7)), Some(443));

    #[test]
    fn an_answer_lives_for_its_time_and_on_when_it_is_told_again() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        // Twice in one telling is not again.
        let both = [(PLACE, 5), (PLACE, 10)].into_iter();
        let (answers, told) = Answers::default().with(start, both).unwrap();
        assert_eq!(
            told.iter().map(|a| (a.seconds, a.again)).collect::<Vec<_>>(),
            [(10, false)]
        );
        let seconds = |answers: &Answers, at| -> Vec<u64> {
            let alive = answers.alive(after(at));
            alive.iter().map(|answer| answer.seconds).collect()
        };
        assert_eq!(seconds(&answers, 4), [6]);
        assert!(seconds(&answers, 10).is_empty());
        let again = |at| answers.with(after(at), [(PLACE, 0)].into_iter()).unwrap();
        assert!(again(9).1[0].again && !again(10).1[0].again);
        assert_eq!(seconds(&again(9).0, 9), [1]);
    }

    #[test]
    fn no_more_live_than_may() {
        let many = |count: u32| (0..count).map(|nth| ((IpAddr::from(nth.to_be_bytes()), None), 60));
        let now = Instant::now();
        let (answers, _) = Answers::default().with(now, many(4096)).unwrap();
        assert!(answers.with(now, [(PLACE, 60)].into_iter()).is_none());
        let later = now + Duration::from_secs(60);
        assert!(answers.with(later, [(PLACE, 60)].into_iter()).is_some());
    }
}
