//! Wall time and randomness, which a guest has from its host.
//!
//! The host says its time with each request. It is a little late when it is read, so a guest that is behind it is behind for
//! certain and is set at once; one that seems to be ahead may only have been slow to read, so it is slowed down until it is
//! far ahead.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::time::{Duration, SystemTime};

use banger_guest_api::Clock;
use rustix::time::{ClockId, Timespec, clock_settime};

/// Sets the wall clock.
pub(super) fn set(clock: Clock) -> io::Result<()> {
    let now = Timespec {
        tv_sec: clock.secs,
        tv_nsec: clock.nanos.into(),
    };
    Ok(clock_settime(ClockId::Realtime, now)?)
}

/// A guest that is behind by this is set.
const BEHIND: Duration = Duration::from_millis(20);

/// A guest that is ahead by this is set; before that, it is slowed down.
const AHEAD: Duration = Duration::from_millis(500);

/// What is done with a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Correction {
    Nothing,
    Step,
    /// Slow down until so many microseconds less have passed.
    Slow(i64),
}

fn correction(host: Duration, guest: Duration) -> Correction {
    if let Some(behind) = host.checked_sub(guest) {
        return if behind >= BEHIND {
            Correction::Step
        } else {
            Correction::Nothing
        };
    }
    match guest - host {
        ahead if ahead >= AHEAD => Correction::Step,
        ahead if ahead >= BEHIND => Correction::Slow(i64::try_from(ahead.as_micros()).unwrap_or(0)),
        _ => Correction::Nothing,
    }
}

/// Brings the wall clock to what the host's was when it asked.
pub(super) fn keep(clock: Clock) -> io::Result<()> {
    let (Ok(secs), Ok(guest)) = (
        u64::try_from(clock.secs),
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH),
    ) else {
        return set(clock);
    };
    match correction(Duration::new(secs, clock.nanos), guest) {
        Correction::Nothing => Ok(()),
        Correction::Step => {
            set(clock)?;
            // What was left of an earlier correction would be wrong now.
            slow_down(0)
        }
        Correction::Slow(micros) => slow_down(micros),
    }
}

/// Lets the clock go slower by 0.5 ‰ until so many microseconds less have passed (adjtimex(2), `ADJ_OFFSET_SINGLESHOT`).
fn slow_down(micros: i64) -> io::Result<()> {
    // SAFETY: the structure is of integers, all of which may be zero.
    let mut timex: libc::timex = unsafe { std::mem::zeroed() };
    timex.modes = libc::ADJ_OFFSET_SINGLESHOT;
    timex.offset = -micros;
    // SAFETY: the argument is such a structure.
    if unsafe { libc::adjtimex(&raw mut timex) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// `RNDADDENTROPY` of random(4), and its argument `struct rand_pool_info`.
const RNDADDENTROPY: u64 = 0x4008_5203;

#[repr(C)]
struct PoolInfo {
    entropy_bits: i32,
    bytes: i32,
    buffer: [u8; 64],
}

/// Mixes the host's random bytes, in hexadecimal, into the kernel's pool and lets them count.
pub(super) fn mix_entropy(hex: &str) -> io::Result<()> {
    let mut info = PoolInfo {
        entropy_bits: 0,
        bytes: 0,
        buffer: [0; 64],
    };
    for (slot, digits) in info.buffer.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        let digits = std::str::from_utf8(digits).map_err(io::Error::other)?;
        *slot = u8::from_str_radix(digits, 16).map_err(io::Error::other)?;
        info.bytes += 1;
    }
    info.entropy_bits = info.bytes * 8;
    let pool = File::options().write(true).open("/dev/urandom")?;
    // SAFETY: the argument is a `rand_pool_info` with as many bytes as it says.
    let result = unsafe { libc::ioctl(pool.as_raw_fd(), RNDADDENTROPY as _, &raw const info) };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_word_sets_no_clock_back() {
        let at = Duration::from_millis;
        let host = at(1_000_000);
        for (guest, expected) in [
            (at(0), Correction::Step),
            (at(999_980), Correction::Step),
            (at(999_981), Correction::Nothing),
            (host, Correction::Nothing),
            (at(1_000_019), Correction::Nothing),
            (at(1_000_020), Correction::Slow(20_000)),
            (at(1_000_499), Correction::Slow(499_000)),
            (at(1_000_500), Correction::Step),
        ] {
            assert_eq!(correction(host, guest), expected, "{guest:?}");
        }
    }
}
