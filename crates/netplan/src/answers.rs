//! What names resolved to for a VM, and for how long that lives.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// How many answers of one VM live at a time.
pub const MAX_ALIVE: usize = 4096;
/// The longest life of an answer, in seconds.
const MAX_TTL: u32 = 86_400;

/// An address that a resolver gave a VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// The address.
    pub address: IpAddr,
    /// The TCP and UDP port that the name's rule is limited to; every port and protocol if none.
    pub port: Option<u16>,
    /// For how many seconds, 1 to 86,400; what is beyond is taken as the nearest.
    pub ttl: u32,
}

/// An address, and the port that it is limited to.
type Place = (IpAddr, Option<u16>);

/// The answers of one VM, with the moment at which each dies.
#[derive(Debug, Clone, Default)]
pub struct Answers(BTreeMap<Place, Instant>);

impl Answers {
    /// Those that live, with the whole seconds that they still do.
    pub fn alive(&self, now: Instant) -> Vec<Answer> {
        let answer = |(&(address, port), end): (&Place, &Instant)| {
            let ttl = end.saturating_duration_since(now).as_secs() as u32;
            (ttl > 0).then_some(Answer { address, port, ttl })
        };
        self.0.iter().filter_map(answer).collect()
    }

    /// How many there are, with those that died and were not looked at since.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The answers with these beside those that still live, and what the filter is told of these; of an address that
    /// comes twice, the last. None if more than [`MAX_ALIVE`] would live.
    pub fn with(&self, now: Instant, answers: &[Answer]) -> Option<(Self, Vec<Answer>)> {
        let mut alive = self.clone();
        alive.0.retain(|_, end| *end > now);
        let mut told = BTreeMap::new();
        for &Answer { address, port, ttl } in answers {
            let ttl = ttl.clamp(1, MAX_TTL);
            told.insert((address, port), Answer { address, port, ttl });
            let end = now + Duration::from_secs(ttl.into());
            alive.0.insert((address, port), end);
        }
        (alive.0.len() <= MAX_ALIVE).then(|| (alive, told.into_values().collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(ttl: u32) -> Answer {
        let address = IpAddr::from([203, 0, 113, 7]);
        Answer {
            address,
            port: Some(443),
            ttl,
        }
    }

    #[test]
    fn an_answer_lives_for_its_time_and_on_when_it_is_told_again() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let both = [answer(5), answer(10)];
        let (answers, told) = Answers::default().with(start, &both).unwrap();
        assert_eq!(told, [answer(10)]);
        assert_eq!(answers.alive(after(4)), [answer(6)]);
        assert_eq!(answers.alive(after(10)), []);
        let (again, told) = answers.with(after(9), &[answer(0)]).unwrap();
        assert_eq!((again.alive(after(9)), told), (vec![answer(1)], vec![answer(1)]));
        let (long, _) = answers.with(start, &[answer(u32::MAX)]).unwrap();
        assert_eq!(long.alive(start), [answer(MAX_TTL)]);
    }

    #[test]
    fn no_more_live_than_may() {
        let many: Vec<Answer> = (0..4096u32)
            .map(|nth| Answer {
                address: IpAddr::from(nth.to_be_bytes()),
                ..answer(60)
            })
            .collect();
        let now = Instant::now();
        let (answers, _) = Answers::default().with(now, &many).unwrap();
        assert!(answers.with(now, &[answer(60)]).is_none());
        let later = now + Duration::from_secs(60);
        assert!(answers.with(later, &[answer(60)]).is_some());
    }
}
