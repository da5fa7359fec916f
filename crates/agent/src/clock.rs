//! What time it is.

use std::time::SystemTime;

use rustix::time::{ClockId, clock_gettime};

/// Milliseconds since the kernel's start.
pub fn uptime_ms() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    let nanos = i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec);
    u64::try_from(nanos / 1_000_000).unwrap_or_default()
}

/// The time, in microseconds since 1970.
pub(crate) fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_micros() as u64)
}
