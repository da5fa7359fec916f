//! Which slot a new VM gets.

use std::collections::{BTreeMap, BTreeSet};

use super::super::Slot;

/// The slot for a new VM, of the first `capacity` ones, or none when all are remembered.
///
/// A slot that anything still remembers (a VM, running or not; a published name; an audit) is never given again. Of the
/// others the one that was given up longest ago is taken, those that never had a VM before all: so that an address
/// that some guest or person still has in mind reaches no one rather than the wrong VM. `last_used` holds any number
/// that grows with time.
pub fn choose_slot(
    capacity: u16,
    remembered: &BTreeSet<Slot>,
    last_used: &BTreeMap<Slot, u64>,
) -> Option<Slot> {
    (0..capacity)
        .map(Slot)
        .filter(|slot| !remembered.contains(slot))
        .min_by_key(|slot| (last_used.get(slot).copied(), *slot))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_new_slot_is_the_one_that_was_free_longest() {
        let remembered = BTreeSet::from([Slot(0)]);
        let used = BTreeMap::from([(Slot(0), 1), (Slot(1), 9), (Slot(2), 5)]);
        assert_eq!(choose_slot(4, &remembered, &used), Some(Slot(3)));
        assert_eq!(choose_slot(3, &remembered, &used), Some(Slot(2)));
        assert_eq!(choose_slot(1, &remembered, &used), None);
    }

    proptest! {
        #[test]
        fn a_remembered_slot_is_never_given(capacity in 0u16..20, taken in prop::collection::btree_set(0u16..20, 0..20)) {
            let taken: BTreeSet<Slot> = taken.into_iter().map(Slot).collect();
            match choose_slot(capacity, &taken, &BTreeMap::new()) {
                Some(slot) => prop_assert!(slot.0 < capacity && !taken.contains(&slot)),
                None => prop_assert!((0..capacity).all(|slot| taken.contains(&Slot(slot)))),
            }
        }
    }
}
