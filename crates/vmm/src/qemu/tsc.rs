//! The rate of the host's time stamp counter. TCG passes it on to its guests as it is, and their kernels cannot find its rate
//! out beside emulated timers; told a wrong one, a guest's clock is wrong by as much.

use std::sync::OnceLock;
use std::time::Duration;

/// How long the counter is compared with the clock. Both readings are good to some hundred nanoseconds, so the rate is to
/// some millionths.
const LONG: Duration = Duration::from_millis(100);

/// Readings of which the one that was least disturbed counts.
const READINGS: usize = 32;

/// Rates that counters have. Beyond them, something was wrong with the comparison.
const PLAUSIBLE: std::ops::RangeInclusive<u64> = 100_000..=20_000_000;

static RATE: OnceLock<Option<u64>> = OnceLock::new();

/// Begins to measure, so that nobody has to wait later.
pub(super) fn begin() {
    if RATE.get().is_none() {
        std::thread::spawn(khz);
    }
}

/// The counter's rate in kHz; nothing where there is no such counter. Blocks while it is measured, once in a process.
pub(super) fn khz() -> Option<u64> {
    *RATE.get_or_init(measure)
}

#[cfg(target_arch = "x86_64")]
fn measure() -> Option<u64> {
    let (ticks, nanos) = reading();
    std::thread::sleep(LONG);
    let (later_ticks, later_nanos) = reading();
    rate(later_ticks.checked_sub(ticks)?, later_nanos.checked_sub(nanos)?)
}

#[cfg(not(target_arch = "x86_64"))]
fn measure() -> Option<u64> {
    None
}

/// So many ticks in so many nanoseconds, in kHz.
fn rate(ticks: u64, nanos: u64) -> Option<u64> {
    if nanos == 0 {
        return None;
    }
    let khz = u128::from(ticks) * 1_000_000 / u128::from(nanos);
    u64::try_from(khz).ok().filter(|khz| PLAUSIBLE.contains(khz))
}

/// The counter and the clock at one instant: of several readings, the one between whose counters least happened.
#[cfg(target_arch = "x86_64")]
fn reading() -> (u64, u64) {
    use rustix::time::{ClockId, clock_gettime};
    let one = || {
        // SAFETY: every x86_64 processor has the instruction.
        let before = unsafe { std::arch::x86_64::_rdtsc() };
        // The disciplined clock: its second is the host's.
        let now = clock_gettime(ClockId::Monotonic);
        // SAFETY: as above.
        let after = unsafe { std::arch::x86_64::_rdtsc() };
        let nanos = now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64;
        (after.wrapping_sub(before), before / 2 + after / 2, nanos)
    };
    let best = (0..READINGS).map(|_| one()).min_by_key(|&(took, ..)| took);
    best.map_or((0, 0), |(_, ticks, nanos)| (ticks, nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_ticks_by_time() {
        assert_eq!(rate(290_000_000, 100_000_000), Some(2_900_000));
        assert_eq!(rate(1, 0), None);
        assert_eq!(rate(1, 1_000_000_000), None);
        assert_eq!(rate(u64::MAX, 1), None);
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn two_measurements_agree() {
        let (one, other) = (measure().unwrap(), measure().unwrap());
        let apart = one.abs_diff(other) as f64 / one as f64;
        assert!(apart < 0.001, "{one} and {other} kHz");
    }
}
