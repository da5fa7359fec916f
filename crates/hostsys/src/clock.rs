//! The host's clock, and when it jumps.

use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// How long it is since the epoch.
pub fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// A timer that never expires, and is cancelled when the clock is set or the host wakes (timerfd_create(2),
/// `TFD_TIMER_CANCEL_ON_SET`).
#[derive(Debug)]
pub struct Jumps(AsyncFd<std::os::fd::OwnedFd>);

/// Far enough: the year 2554.
const NEVER: i64 = 1 << 34;

impl Jumps {
    /// Watches the clock from now on. Call it in the runtime.
    pub fn watch() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Realtime, flags)?;
        arm(&timer)?;
        // SAFETY: an `OwnedFd` is one open description for as long as it lives, and the `AsyncFd` owns it.
        let watched = unsafe { AsyncFd::register_with_interest(timer, Interest::READABLE) };
        watched.map(Self).map_err(Into::into)
    }

    /// Returns when the clock has jumped.
    pub async fn next(&self) -> io::Result<()> {
        let read = self.0.async_io(Interest::READABLE, |timer| {
            Ok(rustix::io::read(timer, &mut [0_u8; 8])?)
        });
        match read.await {
            Err(error) if error.raw_os_error() != Some(Errno::CANCELED.raw_os_error()) => Err(error),
            // It was cancelled, or that year has come.
            _ => arm(self.0.get_ref()),
        }
    }
}

fn arm(timer: &std::os::fd::OwnedFd) -> io::Result<()> {
    let at = |tv_sec| Timespec { tv_sec, tv_nsec: 0 };
    let never = Itimerspec {
        it_interval: at(0),
        it_value: at(NEVER),
    };
    let flags = TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET;
    match timerfd_settime(timer, flags, &never) {
        Ok(_) => Ok(()),
        // The clock jumped while it was armed; it is armed all the same.
        Err(Errno::CANCELED) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_clock_that_goes_on_wakes_nobody() {
        let jumps = Jumps::watch().unwrap();
        let woken = tokio::time::timeout(Duration::from_millis(100), jumps.next()).await;
        assert!(woken.is_err());
    }
}
