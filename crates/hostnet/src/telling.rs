//! Answers of names on their way to the packet filter. Each transaction of the filter costs the host milliseconds, and how
//! many names a guest asks for is the guest's choice: so those of one VM that come while others are being told go together,
//! and a VM that goes on asking is told of in turns.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use banger_dns::Answer;
use banger_model::network::Slot;
use tokio::sync::{Mutex as Turns, MutexGuard};
use tokio::time::Instant;

/// How many transactions a VM may have at once before it waits, and how long each takes to come back.
const BURST: u32 = 16;
const EACH: Duration = Duration::from_millis(50);
/// The most that one transaction has (`banger_root::wire::MAX_ANSWERS`).
const MOST: usize = banger_root::wire::MAX_ANSWERS;

/// The VMs' lines.
#[derive(Debug, Default)]
pub(crate) struct Telling(Mutex<BTreeMap<Slot, Arc<Line>>>);

/// One VM's line.
#[derive(Debug, Default)]
pub(crate) struct Line {
    waiting: Mutex<Vec<Answer>>,
    turn: Turns<Option<Instant>>,
}

/// The right to tell of answers.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    line: &'a Line,
    /// When all that was spent has come back.
    spent: MutexGuard<'a, Option<Instant>>,
}

impl Telling {
    /// The line of a VM.
    pub(crate) fn line(&self, slot: Slot) -> Arc<Line> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(lines.entry(slot).or_default())
    }

    /// There is no such VM any more.
    pub(crate) fn forget(&self, slot: Slot) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&slot);
    }
}

impl Line {
    /// Waits for the turn of these answers; those of others may have been told by then, and these too.
    pub(crate) async fn turn(&self, answers: &[Answer]) -> Turn<'_> {
        self.waiting().extend(answers);
        let mut spent = self.turn.lock().await;
        let now = Instant::now();
        let back = spent.map_or(now, |back| back.max(now));
        if let Some(wait) = (back - now).checked_sub(EACH * BURST) {
            tokio::time::sleep(wait).await;
        }
        *spent = Some(back + EACH);
        Turn { line: self, spent }
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Vec<Answer>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn<'_> {
    /// These answers, and as many of those that wait as fit beside them.
    pub(crate) fn batch(&self, answers: Vec<Answer>) -> Vec<Answer> {
        let mut batch = answers;
        let mut waiting = self.line.waiting();
        waiting.retain(|answer| !batch.contains(answer));
        let room = MOST.saturating_sub(batch.len()).min(waiting.len());
        batch.extend(waiting.drain(..room));
        batch
    }

    /// Nothing was told, so nothing is spent.
    pub(crate) fn unused(mut self) {
        if let Some(back) = self.spent.as_mut() {
            *back -= EACH;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(last: u8) -> Answer {
        Answer {
            address: [93, 184, 216, last].into(),
            port: None,
            ttl: 60,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_guest_that_asks_without_end_costs_a_bounded_rate() {
        let telling = Telling::default();
        let line = telling.line(Slot(1));
        let start = Instant::now();
        for _ in 0..BURST {
            let turn = line.turn(&[answer(1)]).await;
            assert_eq!(turn.batch(vec![answer(1)]).len(), 1);
        }
        assert_eq!(start.elapsed(), Duration::ZERO, "a burst waits for nothing");
        for _ in 0..100 {
            drop(line.turn(&[answer(1)]).await);
        }
        assert!(start.elapsed() >= EACH * 98, "{:?}", start.elapsed());
        // Another VM does not wait for it.
        let before = Instant::now();
        drop(telling.line(Slot(2)).turn(&[answer(1)]).await);
        assert_eq!(before.elapsed(), Duration::ZERO);
        banger_cases::refused("budget", "names.new-answers-without-end");
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_goes_together() {
        let telling = Telling::default();
        let line = telling.line(Slot(1));
        let first = line.turn(&[answer(1)]).await;
        let others: Vec<_> = (2..=9)
            .map(|last| {
                let line = Arc::clone(&line);
                tokio::spawn(async move { line.turn(&[answer(last)]).await.batch(vec![answer(last)]).len() })
            })
            .collect();
        tokio::task::yield_now().await;
        assert_eq!(first.batch(vec![answer(1)]).len(), 9);
        drop(first);
        for other in others {
            // Who comes later asks whether its answers are known, before it tells of them.
            assert_eq!(other.await.unwrap(), 1);
        }
    }
}
