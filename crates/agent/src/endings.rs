//! The signals that ask a process to end. A guest's power-off sends the first of them to every process.

use std::mem::MaybeUninit;

const ENDINGS: [i32; 3] = [libc::SIGTERM, libc::SIGHUP, libc::SIGINT];

/// Ignores them, in this process and in what it executes.
pub(crate) fn ignore() {
    set(libc::SIG_IGN);
}

/// Ends by them. Async-signal-safe, so that a child can call it before it executes another program.
pub(crate) fn take() {
    set(libc::SIG_DFL);
}

fn set(action: libc::sighandler_t) {
    for signal in ENDINGS {
        // SAFETY: neither ignoring a signal nor its default action installs a handler.
        unsafe {
            libc::signal(signal, action);
        }
    }
}

/// While it lives, they wait: for this thread, and for threads that it starts meanwhile.
#[derive(Debug)]
pub(crate) struct Held(());

impl Held {
    pub(crate) fn hold() -> Self {
        mask(libc::SIG_BLOCK);
        Self(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        release();
    }
}

/// Holds none of them back. Async-signal-safe, as [`take`].
pub(crate) fn release() {
    mask(libc::SIG_UNBLOCK);
}

fn mask(how: i32) {
    let mut set = MaybeUninit::uninit();
    // SAFETY: sigemptyset(3) initializes the set; none of these fails for signals that exist.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for signal in ENDINGS {
            libc::sigaddset(set.as_mut_ptr(), signal);
        }
        libc::pthread_sigmask(how, set.as_ptr(), std::ptr::null_mut());
    }
}
