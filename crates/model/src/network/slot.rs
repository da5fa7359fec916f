//! Slots: the small number from which a VM's addresses and its TAP's name follow.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A VM's place in its user's network. It keeps it as long as it exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Slot(pub u16);

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The name of a user's bridge, such as `bgrrs` for uid 1000: banger's mark, then the owner in base 36. The names of all that is
/// made for that user on a host begin so.
pub fn bridge_name(owner: u32) -> String {
    format!("bgr{}", base36(owner))
}

/// What the names of all TAPs with a VM begin with.
pub fn tap_prefix(owner: u32) -> String {
    format!("{}-", bridge_name(owner))
}

/// The name of the TAP of a VM: at most 15 bytes, which is what the kernel takes.
pub fn tap_name(owner: u32, slot: Slot) -> String {
    format!("{}{}", tap_prefix(owner), base36(u32::from(slot.0)))
}

/// The slot that a TAP of this owner is for; none if the name is no such TAP's.
pub fn slot_of_tap(owner: u32, name: &str) -> Option<Slot> {
    let digits = name.strip_prefix(&tap_prefix(owner))?;
    let slot = Slot(u16::from_str_radix(digits, 36).ok()?);
    (tap_name(owner, slot) == name).then_some(slot)
}

/// What the names of all TAPs without a VM begin with.
pub fn spare_prefix(owner: u32) -> String {
    format!("{}+", bridge_name(owner))
}

/// The name of a TAP that waits for a VM.
pub fn spare_tap_name(owner: u32, number: u16) -> String {
    format!("{}{}", spare_prefix(owner), base36(u32::from(number)))
}

fn base36(mut value: u32) -> String {
    let mut digits = Vec::new();
    loop {
        digits.push(char::from_digit(value % 36, 36).unwrap_or('0'));
        value /= 36;
        if value == 0 {
            return digits.iter().rev().collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_carry_the_mark_the_owner_and_the_slot() {
        assert_eq!(bridge_name(1000), "bgrrs");
        assert_eq!(tap_name(1000, Slot(37)), "bgrrs-11");
        assert_eq!(spare_tap_name(0, 3), "bgr0+3");
        assert_eq!(tap_name(u32::MAX, Slot(u16::MAX)).len(), 15);
        assert_eq!(slot_of_tap(1000, "bgrrs-011"), None);
        assert_eq!(slot_of_tap(1001, "bgrrs-11"), None);
    }

    proptest! {
        #[test]
        fn every_tap_name_fits_and_gives_its_slot_back(owner: u32, slot: u16) {
            let name = tap_name(owner, Slot(slot));
            prop_assert!(name.len() <= 15);
            prop_assert_eq!(slot_of_tap(owner, &name), Some(Slot(slot)));
            prop_assert_eq!(slot_of_tap(owner, &spare_tap_name(owner, slot)), None);
        }
    }
}
