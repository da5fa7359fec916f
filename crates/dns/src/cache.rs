//! What was found, for as long as it lives, and within bounds.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::found::{Found, Key};

/// The most that is kept: entries, and about how many bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) entries: usize,
    pub(crate) bytes: usize,
}

/// A cache. What would die first makes room.
#[derive(Debug)]
pub(crate) struct Cache {
    bounds: Bounds,
    bytes: usize,
    number: u64,
    entries: HashMap<Key, Entry>,
    /// When each entry dies, the soonest first.
    ends: BTreeSet<(Instant, u64)>,
    /// Whose number is whose.
    keys: HashMap<u64, Key>,
}

#[derive(Debug)]
struct Entry {
    found: Arc<Found>,
    since: Instant,
    end: (Instant, u64),
    bytes: usize,
}

impl Cache {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            bytes: 0,
            number: 0,
            entries: HashMap::new(),
            ends: BTreeSet::new(),
            keys: HashMap::new(),
        }
    }

    /// What is known, and its age.
    pub(crate) fn get(&self, key: &Key, now: Instant) -> Option<(Arc<Found>, Duration)> {
        let entry = self.entries.get(key).filter(|entry| now < entry.end.0)?;
        Some((Arc::clone(&entry.found), now.duration_since(entry.since)))
    }

    /// Keeps what was found now, unless it may not be kept or would be the whole cache.
    pub(crate) fn put(&mut self, key: &Key, found: &Arc<Found>, now: Instant) {
        let lifetime = found.lifetime();
        let bytes = found.size() + 2 * (size_of::<Key>() + key.name.len());
        if lifetime.is_zero() || bytes > self.bounds.bytes / 16 {
            return;
        }
        self.remove(key);
        self.number += 1;
        let end = (now + lifetime, self.number);
        self.bytes += bytes;
        self.ends.insert(end);
        self.keys.insert(self.number, key.clone());
        self.entries.insert(
            key.clone(),
            Entry {
                found: Arc::clone(found),
                since: now,
                end,
                bytes,
            },
        );
        while self.entries.len() > self.bounds.entries || self.bytes > self.bounds.bytes {
            let Some(soonest) = self.ends.first().and_then(|end| self.keys.get(&end.1)).cloned() else {
                break;
            };
            self.remove(&soonest);
        }
    }

    fn remove(&mut self, key: &Key) {
        if let Some(entry) = self.entries.remove(key) {
            self.bytes -= entry.bytes;
            self.ends.remove(&entry.end);
            self.keys.remove(&entry.end.1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::op::ResponseCode;
    use hickory_proto::rr::rdata::A;
    use hickory_proto::rr::{Name, RData, Record, RecordType};
    use proptest::prelude::*;

    fn key(number: u8) -> Key {
        Key {
            name: Name::from_ascii(format!("n{number}.org.")).unwrap(),
            kind: RecordType::A,
        }
    }

    fn found(number: u8, ttl: u32) -> Arc<Found> {
        let data = RData::A(A::new(203, 0, 113, number));
        Arc::new(Found {
            code: ResponseCode::NoError,
            answers: vec![Record::from_rdata(key(number).name, ttl, data)],
            soa: None,
        })
    }

    #[test]
    fn an_entry_lives_as_long_as_it_says() {
        let start = Instant::now();
        let mut cache = Cache::new(Bounds {
            entries: 9,
            bytes: 1 << 20,
        });
        cache.put(&key(1), &found(1, 10), start);
        cache.put(&key(2), &found(2, 0), start);
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(cache.get(&key(1), at(9)).unwrap().1, Duration::from_secs(9));
        assert!(cache.get(&key(1), at(10)).is_none());
        assert!(cache.get(&key(2), at(0)).is_none());
    }

    proptest! {
        #[test]
        fn the_bounds_hold_and_the_longest_lived_stay(puts in prop::collection::vec((any::<u8>(), 1u32..100), 0..200)) {
            let now = Instant::now();
            let bounds = Bounds { entries: 7, bytes: 20_000 };
            let mut cache = Cache::new(bounds);
            for (number, ttl) in puts {
                cache.put(&key(number), &found(number, ttl), now);
                prop_assert!(cache.entries.len() <= bounds.entries && cache.bytes <= bounds.bytes);
                prop_assert_eq!(cache.entries.len(), cache.ends.len());
                prop_assert_eq!(cache.entries.len(), cache.keys.len());
                prop_assert_eq!(cache.bytes, cache.entries.values().map(|entry| entry.bytes).sum::<usize>());
            }
        }
    }
}
