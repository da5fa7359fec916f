//! From a question to what there is, at most once at a time: out of the cache, or on the way that someone is on already.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::watch;

use crate::cache::{Bounds, Cache};
use crate::found::{Found, Key};
use crate::places::Limits;
use crate::upstream::{Failed, Patience, Upstream, Upstreams};

type Landing = Result<Arc<Found>, Failed>;
type Flights = HashMap<Key, watch::Receiver<Option<Landing>>>;

/// Looks names up.
#[derive(Debug)]
pub(crate) struct Forward {
    pub(crate) upstream: Upstream,
    cache: Mutex<Cache>,
    flights: Mutex<Flights>,
}

/// A question that is on its way; when it is dropped, none is.
struct Flight<'a> {
    flights: &'a Mutex<Flights>,
    key: &'a Key,
}

impl Forward {
    pub(crate) fn new(from: Upstreams, limits: &Limits) -> Self {
        let patience = Patience {
            one: limits.try_time,
            all: limits.question_time,
        };
        let bounds = Bounds {
            entries: limits.cache_entries,
            bytes: limits.cache_bytes,
        };
        Self {
            upstream: Upstream::new(from, patience),
            cache: Mutex::new(Cache::new(bounds)),
            flights: Mutex::default(),
        }
    }

    /// What is in the cache.
    pub(crate) fn cached(&self, key: &Key) -> Option<Found> {
        let (found, age) = locked(&self.cache).get(key, Instant::now())?;
        Some(found.aged(age))
    }

    /// What there is. There are as many flights as there are callers at most.
    pub(crate) async fn find(&self, key: &Key) -> Result<Found, Failed> {
        loop {
            if let Some(found) = self.cached(key) {
                return Ok(found);
            }
            let (sender, receiver) = watch::channel(None);
            let other = match locked(&self.flights).entry(key.clone()) {
                Entry::Occupied(flight) => Some(flight.get().clone()),
                Entry::Vacant(place) => {
                    place.insert(receiver);
                    None
                }
            };
            let landed = match other {
                Some(other) => landing(other).await,
                None => Some(self.fly(key, &sender).await),
            };
            // Who flew may have gone away, with the socket that it was asked through. Then its flight is no more.
            if let Some(landed) = landed {
                return landed.map(Arc::unwrap_or_clone);
            }
        }
    }

    async fn fly(&self, key: &Key, sender: &watch::Sender<Option<Landing>>) -> Landing {
        let flight = Flight {
            flights: &self.flights,
            key,
        };
        let landing = self.upstream.ask(key).await.map(Arc::new);
        if let Ok(found) = &landing {
            // In the cache before the flight is over, so that no one takes off in between.
            locked(&self.cache).put(key, found, Instant::now());
        }
        drop(flight);
        sender.send_replace(Some(landing.clone()));
        landing
    }
}

/// Waits for the flight of another; none if it was given up.
async fn landing(mut flight: watch::Receiver<Option<Landing>>) -> Option<Landing> {
    let landed = flight.wait_for(Option::is_some).await;
    landed.ok().and_then(|landing| landing.clone())
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        locked(self.flights).remove(self.key);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
