//! Which answers are news, for who tells the packet filter of them: a VM that asks in a loop should cost it nothing.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use banger_model::network::Slot;

use crate::oracle::Answer;

/// The most that is remembered of one VM.
const MAX_OF_ONE: usize = 4096;

/// What VMs may reach already, and until when.
#[derive(Debug, Default)]
pub struct Known {
    until: HashMap<Slot, HashMap<(IpAddr, Option<u16>), Instant>>,
}

impl Known {
    /// Those of these answers that the packet filter does not have, or would forget before their time.
    pub fn news(&self, slot: Slot, answers: &[Answer], now: Instant) -> Vec<Answer> {
        // A second is lost to rounding: what is kept by a cache has its time cut to whole seconds.
        let end = |answer: &Answer| now + Duration::from_secs(u64::from(answer.ttl.saturating_sub(1)));
        let known = self.until.get(&slot);
        let is_news = |answer: &&Answer| {
            let until = known.and_then(|known| known.get(&(answer.address, answer.port)));
            until.is_none_or(|until| *until < end(answer))
        };
        answers.iter().filter(is_news).copied().collect()
    }

    /// The packet filter has these now.
    pub fn keep(&mut self, slot: Slot, answers: &[Answer], now: Instant) {
        let known = self.until.entry(slot).or_default();
        if known.len() + answers.len() > MAX_OF_ONE {
            known.retain(|_, until| *until > now);
        }
        if known.len() + answers.len() > MAX_OF_ONE {
            // All of it is live: it is told again rather than remembered without a bound.
            known.clear();
        }
        for answer in answers.iter().take(MAX_OF_ONE) {
            let until = now + Duration::from_secs(answer.ttl.into());
            known.insert((answer.address, answer.port), until);
        }
    }

    /// What the packet filter has of a VM, with the whole seconds that each has left.
    pub fn alive(&self, slot: Slot, now: Instant) -> Vec<Answer> {
        let left = |until: &Instant| until.saturating_duration_since(now).as_secs() as u32;
        let of_slot = self.until.get(&slot).into_iter().flatten();
        let answer = |(&(address, port), until): (&(IpAddr, Option<u16>), &Instant)| Answer {
            address,
            port,
            ttl: left(until),
        };
        of_slot.map(answer).filter(|answer| answer.ttl > 0).collect()
    }

    /// The packet filter has nothing of this VM any more: it was attached again, detached, or has new rules.
    pub fn forget(&mut self, slot: Slot) {
        self.until.remove(&slot);
    }

    /// The packet filter was made again.
    pub fn forget_all(&mut self) {
        self.until.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(last: u8, ttl: u32) -> Answer {
        Answer {
            address: IpAddr::from([203, 0, 113, last]),
            port: Some(443),
            ttl,
        }
    }

    #[test]
    fn what_the_filter_has_is_no_news() {
        let (slot, start) = (Slot(3), Instant::now());
        let later = |seconds| start + Duration::from_secs(seconds);
        let mut known = Known::default();
        assert_eq!(known.news(slot, &[answer(1, 60)], start), [answer(1, 60)]);
        known.keep(slot, &[answer(1, 60)], start);
        assert_eq!(
            known.news(slot, &[answer(1, 60), answer(2, 60)], start),
            [answer(2, 60)]
        );
        // The same answer from a cache, a while later; then one that lives longer; then another VM; then after its end.
        assert!(known.news(slot, &[answer(1, 50)], later(10)).is_empty());
        assert_eq!(known.news(slot, &[answer(1, 60)], later(10)), [answer(1, 60)]);
        assert_eq!(known.news(Slot(4), &[answer(1, 9)], start), [answer(1, 9)]);
        assert_eq!(known.news(slot, &[answer(1, 5)], later(60)), [answer(1, 5)]);
        known.forget(slot);
        assert_eq!(known.news(slot, &[answer(1, 60)], start), [answer(1, 60)]);
    }

    #[test]
    fn memory_is_bounded() {
        let mut known = Known::default();
        let now = Instant::now();
        for number in 0..20_000u32 {
            let address = IpAddr::from((0x0b00_0000 + number).to_be_bytes());
            let answer = Answer {
                address,
                port: None,
                ttl: 3600,
            };
            known.keep(Slot(0), &[answer], now);
        }
        assert!(known.until[&Slot(0)].len() <= MAX_OF_ONE);
    }
}
