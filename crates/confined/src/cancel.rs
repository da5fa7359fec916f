//! Ending the children of work that nobody waits for any more.
//!
//! Blocking work cannot be dropped as a future can. It runs in a [`Cancel::scope`] instead, and every child that is started
//! in there ends when the work is cancelled; no further one starts.

use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

thread_local! {
    static CURRENT: RefCell<Option<Cancel>> = const { RefCell::new(None) };
}

/// Cancels the children of some work.
#[derive(Debug, Clone)]
pub struct Cancel {
    /// Readable, for ever, once it is cancelled.
    event: Arc<OwnedFd>,
}

impl Cancel {
    /// One that was not cancelled.
    ///
    /// # Errors
    /// When the process has no descriptor left.
    pub fn new() -> std::io::Result<Self> {
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self {
            event: Arc::new(event),
        })
    }

    /// Ends the children, at once.
    pub fn cancel(&self) {
        // It fails only when the counter is full, and then it was cancelled before.
        let _ = rustix::io::write(&*self.event, &1_u64.to_ne_bytes());
    }

    /// Whether it was cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        poll(&mut [PollFd::new(&*self.event, PollFlags::IN)], Some(&now)).is_ok_and(|ready| ready > 0)
    }

    /// Does `work` on this thread so that the children which it starts belong to this.
    pub fn scope<T>(&self, work: impl FnOnce() -> T) -> T {
        struct Restore(Option<Cancel>);
        impl Drop for Restore {
            fn drop(&mut self) {
                CURRENT.with(|current| *current.borrow_mut() = self.0.take());
            }
        }
        let before = CURRENT.with(|current| current.borrow_mut().replace(self.clone()));
        let _restore = Restore(before);
        work()
    }

    /// The one whose work this thread does.
    pub(crate) fn current() -> Option<Self> {
        CURRENT.with(|current| current.borrow().clone())
    }

    pub(crate) fn event(&self) -> &OwnedFd {
        &self.event
    }
}

/// Cancels when it is dropped: the future that holds it stands for who waits.
#[derive(Debug)]
pub struct Guard(pub Cancel);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.cancel();
    }
}
