//! How much is done at once, in all and for each asker, so that one that floods is the one that is dropped.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use banger_model::network::Slot;

use crate::oracle::Asker;

/// The server's bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Questions of the host's that wait for an upstream.
    pub host_questions: usize,
    /// The same, of one VM.
    pub guest_questions: usize,
    /// The same, of all VMs.
    pub guests_questions: usize,
    /// Connections of the host's.
    pub host_connections: usize,
    /// The same, of one VM.
    pub guest_connections: usize,
    /// The same, of all VMs.
    pub guests_connections: usize,
    /// Questions a second of one VM, of whatever kind; for a second it may ask twice as many.
    pub guest_rate: u32,
    /// How long an upstream has to answer, once.
    pub try_time: Duration,
    /// How long a question may take over all.
    pub question_time: Duration,
    /// How long a connection may be still.
    pub idle_time: Duration,
    /// Answers that are kept.
    pub cache_entries: usize,
    /// About how many bytes of answers are kept.
    pub cache_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            host_questions: 128,
            guest_questions: 32,
            // A question that waits has a socket, and a process may commonly have 1,024 descriptors.
            guests_questions: 256,
            host_connections: 32,
            guest_connections: 4,
            guests_connections: 128,
            guest_rate: 1000,
            try_time: Duration::from_millis(1500),
            // Resolvers of C libraries give up after five seconds.
            question_time: Duration::from_millis(4500),
            idle_time: Duration::from_secs(10),
            cache_entries: 8192,
            cache_bytes: 8 << 20,
        }
    }
}

/// An asker, whatever its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Who {
    Host,
    Guest(Slot),
}

impl From<&Asker> for Who {
    fn from(asker: &Asker) -> Self {
        match asker {
            Asker::Host => Self::Host,
            Asker::Guest(guest) => Self::Guest(guest.slot),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Question,
    Connection,
}

#[derive(Debug, Clone, Copy, Default)]
struct Taken {
    questions: usize,
    connections: usize,
}

impl Taken {
    const fn of(&mut self, what: What) -> &mut usize {
        match what {
            What::Question => &mut self.questions,
            What::Connection => &mut self.connections,
        }
    }
}

/// What one VM has taken, and may still ask in this second.
#[derive(Debug)]
struct Share {
    taken: Taken,
    allowance: f64,
    at: Instant,
}

#[derive(Debug, Default)]
struct State {
    host: Taken,
    guests: Taken,
    shares: HashMap<Slot, Share>,
}

/// The places.
#[derive(Debug)]
pub(crate) struct Places {
    limits: Limits,
    state: Mutex<State>,
}

/// A place that is taken until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    who: Who,
    what: What,
}

impl Places {
    pub(crate) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            state: Mutex::default(),
        })
    }

    /// Whether a message of this asker is to be looked at.
    pub(crate) fn admits(&self, who: Who, now: Instant) -> bool {
        let Who::Guest(slot) = who else { return true };
        let rate = f64::from(self.limits.guest_rate);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let share = state.share(slot, 2.0 * rate, now);
        let passed = now.saturating_duration_since(share.at).as_secs_f64();
        share.allowance = (share.allowance + passed * rate).min(2.0 * rate);
        share.at = now;
        let admitted = share.allowance >= 1.0;
        if admitted {
            share.allowance -= 1.0;
        }
        admitted
    }

    /// A place for a question that has to wait.
    pub(crate) fn question(self: &Arc<Self>, who: Who) -> Option<Place> {
        let limits = &self.limits;
        let bounds = match who {
            Who::Host => (limits.host_questions, usize::MAX),
            Who::Guest(_) => (limits.guest_questions, limits.guests_questions),
        };
        self.take(who, What::Question, bounds)
    }

    /// A place for a connection.
    pub(crate) fn connection(self: &Arc<Self>, who: Who) -> Option<Place> {
        let limits = &self.limits;
        let bounds = match who {
            Who::Host => (limits.host_connections, usize::MAX),
            Who::Guest(_) => (limits.guest_connections, limits.guests_connections),
        };
        self.take(who, What::Connection, bounds)
    }

    fn take(self: &Arc<Self>, who: Who, what: What, (own, all): (usize, usize)) -> Option<Place> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Who::Guest(slot) = who {
            let taken = *state.guests.of(what);
            let burst = 2.0 * f64::from(self.limits.guest_rate);
            let share = state.share(slot, burst, Instant::now());
            if taken >= all || *share.taken.of(what) >= own {
                return None;
            }
            *share.taken.of(what) += 1;
            *state.guests.of(what) += 1;
        } else if *state.host.of(what) < own {
            *state.host.of(what) += 1;
        } else {
            return None;
        }
        let places = Arc::clone(self);
        Some(Place { places, who, what })
    }
}

impl State {
    fn share(&mut self, slot: Slot, burst: f64, now: Instant) -> &mut Share {
        // One that has nothing and was not heard of for a while is as one that was never heard of.
        if self.shares.len() > 512 && !self.shares.contains_key(&slot) {
            self.shares.retain(|_, share| {
                let rests = now.saturating_duration_since(share.at) > Duration::from_secs(2);
                share.taken.questions + share.taken.connections > 0 || !rests
            });
        }
        self.shares.entry(slot).or_insert_with(|| Share {
            taken: Taken::default(),
            allowance: burst,
            at: now,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.places.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &mut *state;
        match self.who {
            Who::Host => *state.host.of(self.what) -= 1,
            Who::Guest(slot) => {
                *state.guests.of(self.what) -= 1;
                if let Some(share) = state.shares.get_mut(&slot) {
                    *share.taken.of(self.what) -= 1;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Who = Who::Guest(Slot(1));
    const B: Who = Who::Guest(Slot(2));

    #[test]
    fn one_that_floods_leaves_places_to_the_others() {
        let places = Places::new(Limits {
            guest_questions: 2,
            guests_questions: 3,
            host_questions: 1,
            ..Limits::default()
        });
        let held: Vec<Place> = (0..9).filter_map(|_| places.question(A)).collect();
        assert_eq!(held.len(), 2);
        let other = places.question(B);
        assert!(other.is_some() && places.question(B).is_none());
        let host = places.question(Who::Host);
        assert!(host.is_some() && places.question(Who::Host).is_none());
        assert!(places.connection(A).is_some());
        drop(held);
        assert!(places.question(B).is_some() && places.question(A).is_some());
    }

    #[test]
    fn a_rate_is_kept_and_does_not_pile_up() {
        let places = Places::new(Limits {
            guest_rate: 10,
            ..Limits::default()
        });
        let start = Instant::now();
        let admitted = |who, now| (0..100).filter(|_| places.admits(who, now)).count();
        assert_eq!(admitted(A, start), 20);
        assert_eq!(admitted(B, start), 20);
        assert_eq!(admitted(A, start + Duration::from_secs(1)), 10);
        assert_eq!(admitted(A, start + Duration::from_secs(100)), 20);
        assert_eq!(admitted(Who::Host, start), 100);
    }

    #[test]
    fn who_rests_is_forgotten() {
        let places = Places::new(Limits::default());
        let start = Instant::now();
        for slot in 0..u16::MAX {
            let now = start + Duration::from_secs(slot.into());
            assert!(places.admits(Who::Guest(Slot(slot)), now));
        }
        assert!(places.state.lock().unwrap().shares.len() <= 1024);
    }
}
