//! The host's clock, and that guests keep it. Every request to an agent says what time it is, so a guest that is used has the
//! host's time; when the clock jumps, or the host wakes from a suspend, all guests are told. Nothing wakes for it otherwise.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use banger_guest_api::Clock;
use banger_model::chain;
use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::vm::Vms;

/// How long an agent may take to answer that it was told.
const ANSWER: Duration = Duration::from_secs(10);

/// What time it is.
pub(crate) fn now() -> Clock {
    Clock::since_epoch(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// Tells the guests of all machines what time it is, whenever it is another than it was. Never returns but with an error.
pub(crate) async fn keep(vms: Arc<Vms>) -> io::Result<()> {
    let jumps = Jumps::watch()?;
    loop {
        jumps.next().await?;
        tracing::info!("the clock has jumped, or the host was suspended; setting the guests' clocks");
        for handle in vms.list() {
            let Ok(live) = handle.live() else { continue };
            let name = handle.state().spec.name;
            tokio::spawn(async move {
                match tokio::time::timeout(ANSWER, live.guest().health()).await {
                    Ok(Ok(_)) => {}
                    Ok(Err(error)) => {
                        tracing::warn!(vm = %name, error = %chain(&error), "could not set a guest's clock");
                    }
                    Err(_) => {
                        tracing::warn!(vm = %name, "could not set a guest's clock: the guest did not answer")
                    }
                }
            });
        }
    }
}

/// A timer that never expires, and is cancelled when the clock is set or the host wakes (timerfd_create(2),
/// `TFD_TIMER_CANCEL_ON_SET`).
struct Jumps(AsyncFd<std::os::fd::OwnedFd>);

/// Far enough: the year 2554.
const NEVER: i64 = 1 << 34;

impl Jumps {
    fn watch() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Realtime, flags)?;
        arm(&timer)?;
        // SAFETY: an `OwnedFd` is one open description for as long as it lives, and the `AsyncFd` owns it.
        let watched = unsafe { AsyncFd::register_with_interest(timer, Interest::READABLE) };
        watched.map(Self).map_err(Into::into)
    }

    /// Returns when the clock has jumped.
    async fn next(&self) -> io::Result<()> {
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
