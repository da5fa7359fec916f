//! Numbers of pax records.

/// A number of digits alone. Sizes are at most 2^63 - 1, as everywhere.
pub(super) fn decimal(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    let number = value.iter().try_fold(0_u64, |number, byte| match byte {
        b'0'..=b'9' => number.checked_mul(10)?.checked_add(u64::from(byte - b'0')),
        _ => None,
    })?;
    (number <= i64::MAX as u64).then_some(number)
}
