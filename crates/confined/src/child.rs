//! One confined child: held by a pidfd, ended when it is dropped or its time is over, and counted when it ends.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, kill_process_group, pidfd_open, waitid,
};

use super::{Cancel, Error, Limit, Limits};

/// How much of standard error is kept.
pub(crate) const WORDS: usize = 8 << 10;

/// Exit code of a child of ours that was refused memory.
pub const OUT_OF_MEMORY: i32 = 86;

/// A running child. Dropping it ends it and all that it started.
#[derive(Debug)]
pub struct Child {
    what: &'static str,
    limits: Limits,
    /// Reaped by [`wait`](Self::wait) or by the drop, never by std.
    inner: std::process::Child,
    pid: Pid,
    handle: Arc<OwnedFd>,
    late: Arc<AtomicBool>,
    cancel: Option<Cancel>,
    words: Words,
    reaped: bool,
}

/// What the child printed on standard error.
#[derive(Debug)]
enum Words {
    /// A thread reads it.
    Coming(JoinHandle<Vec<u8>>),
    /// It was read.
    Read(Vec<u8>),
}

/// How a child ended that did its work.
#[derive(Debug, Clone, Copy)]
pub struct Ended {
    /// The most memory that it had, in bytes.
    pub peak: u64,
}

impl Child {
    /// Starts `command`, which [`command`](super::command) made with the same limits. Standard error is kept for errors;
    /// the other streams are as the command says.
    pub fn spawn(what: &'static str, command: Command, limits: Limits) -> Result<Self, Error> {
        let mut child = Self::start(what, command, limits)?;
        if let Some(mut stderr) = child.inner.stderr.take() {
            child.words = Words::Coming(std::thread::spawn(move || {
                let mut words = Vec::new();
                let _ = stderr.by_ref().take(WORDS as u64).read_to_end(&mut words);
                let _ = io::copy(&mut stderr, &mut io::sink());
                words
            }));
        }
        if limits.time.is_some() || child.cancel.is_some() {
            child.watch(limits.time);
        }
        Ok(child)
    }

    /// The same, of which nothing is read and nobody looks at the time until [`converse`](Self::converse) does.
    pub(crate) fn start(what: &'static str, mut command: Command, limits: Limits) -> Result<Self, Error> {
        let failed = |source| Error::Spawn { what, source };
        let cancel = Cancel::current();
        if cancel.as_ref().is_some_and(Cancel::is_cancelled) {
            return Err(Error::Cancelled { what });
        }
        let mut inner = command.stderr(Stdio::piped()).spawn().map_err(failed)?;
        let pid = i32::try_from(inner.id()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| failed(io::ErrorKind::InvalidData.into()))?;
        let handle = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(handle) => Arc::new(handle),
            Err(error) => {
                let _ = inner.kill().and_then(|()| inner.wait());
                return Err(failed(error.into()));
            }
        };
        Ok(Self {
            what,
            limits,
            inner,
            pid,
            handle,
            late: Arc::default(),
            cancel,
            words: Words::Read(Vec::new()),
            reaped: false,
        })
    }

    /// Ends the child when its time is over or its work is cancelled. The thread sleeps until then, or the child's end.
    fn watch(&self, time: Option<Duration>) {
        let (handle, late, pid) = (Arc::clone(&self.handle), Arc::clone(&self.late), self.pid);
        let cancel = self.cancel.clone();
        let until = time.map(|time| Instant::now() + time);
        std::thread::spawn(move || {
            let cancelled = cancel.as_ref().map_or(&*handle, |cancel| cancel.event());
            loop {
                let timeout = until.map(left);
                let mut watched = [
                    PollFd::new(&*handle, PollFlags::IN),
                    PollFd::new(cancelled, PollFlags::IN),
                ];
                match poll(&mut watched, timeout.as_ref()) {
                    Ok(0) => break late.store(true, Ordering::Release),
                    Err(rustix::io::Errno::INTR) => {}
                    Ok(_) if watched[0].revents().is_empty() => break,
                    _ => return,
                }
            }
            // The handle said that it is not reaped, so the number is still its own.
            let _ = rustix::process::pidfd_send_signal(&*handle, Signal::KILL);
            let _ = kill_process_group(pid, Signal::KILL);
        });
    }

    /// Where its input goes, once.
    pub fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.inner.stdin.take()
    }

    /// Where its output comes from, once.
    pub fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.inner.stdout.take()
    }

    /// Ends it at once, with all that it started.
    pub fn kill(&self) {
        if !self.reaped {
            let _ = kill_process_group(self.pid, Signal::KILL);
        }
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it failed or met a limit.
    pub fn wait(mut self) -> Result<Ended, Error> {
        drop(self.inner.stdin.take());
        let (status, peak) = self.reap().map_err(|source| Error::Wait {
            what: self.what,
            source,
        })?;
        let words = match std::mem::replace(&mut self.words, Words::Read(Vec::new())) {
            Words::Coming(words) => words.join().unwrap_or_default(),
            Words::Read(words) => words,
        };
        let words = String::from_utf8_lossy(&words).trim().to_owned();
        if status.success() {
            return Ok(Ended { peak });
        }
        if self.cancel.as_ref().is_some_and(Cancel::is_cancelled) {
            return Err(Error::Cancelled { what: self.what });
        }
        Err(match self.met(status, &words, peak) {
            Some(limit) => Error::Limit {
                what: self.what,
                limit,
            },
            None => Error::Failed {
                what: self.what,
                status: status.to_string(),
                words,
            },
        })
    }

    /// Its streams, once.
    pub(crate) fn take_streams(&mut self) -> (Option<ChildStdin>, Option<ChildStdout>, Option<ChildStderr>) {
        let inner = &mut self.inner;
        (inner.stdin.take(), inner.stdout.take(), inner.stderr.take())
    }

    /// Readable when the child has ended.
    pub(crate) fn handle(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }

    /// Readable when the child's work is cancelled.
    pub(crate) fn cancelled(&self) -> Option<BorrowedFd<'_>> {
        self.cancel.as_ref().map(|cancel| cancel.event().as_fd())
    }

    /// What the child was heard to print on standard error, and whether its time was over.
    pub(crate) fn was_heard(&mut self, words: Vec<u8>, late: bool) {
        self.words = Words::Read(words);
        self.late.fetch_or(late, Ordering::AcqRel);
    }

    /// Ends the child at once, with all that it started.
    pub(crate) fn end_now(&self) {
        // Not reaped, so the number is still its own.
        let _ = rustix::process::pidfd_send_signal(&*self.handle, Signal::KILL);
        self.kill();
    }

    /// The limit that a child met which failed so.
    fn met(&self, status: ExitStatus, words: &str, peak: u64) -> Option<Limit> {
        if self.late.load(Ordering::Acquire) {
            return self.limits.time.map(Limit::Time);
        }
        let signal = status.signal().and_then(Signal::from_named_raw);
        if signal == Some(Signal::XCPU) {
            return Some(Limit::Cpu(self.limits.cpu));
        }
        // Allocators abort, programs say so in their own words, and the kernel kills.
        let refused = [
            "ut of memory",
            "annot allocate memory",
            "emory allocation of",
            "emory exhausted",
        ]
        .iter()
        .any(|known| words.contains(known));
        let starved = signal == Some(Signal::KILL) && peak > self.limits.memory / 2;
        (refused || starved || status.code() == Some(OUT_OF_MEMORY))
            .then_some(Limit::Memory(self.limits.memory))
    }

    /// Waits for the child and takes its status, and the most memory that it had.
    fn reap(&mut self) -> io::Result<(ExitStatus, u64)> {
        // First without taking it: whatever it started goes while its number cannot be another's.
        while let Err(error) = waitid(
            WaitId::Pid(self.pid),
            WaitIdOptions::EXITED | WaitIdOptions::NOWAIT,
        ) {
            if error != rustix::io::Errno::INTR {
                return Err(error.into());
            }
        }
        let _ = kill_process_group(self.pid, Signal::KILL);
        let mut status = 0;
        // SAFETY: `rusage` is plain data, for which zeros are valid.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: both pointers are to our own variables, and the child is ours and not reaped.
        let reaped = unsafe {
            libc::wait4(
                self.pid.as_raw_nonzero().get(),
                &raw mut status,
                0,
                &raw mut usage,
            )
        };
        if reaped < 0 {
            return Err(io::Error::last_os_error());
        }
        self.reaped = true;
        // In units of 1024 bytes (getrusage(2)).
        let peak = u64::try_from(usage.ru_maxrss).unwrap_or_default() << 10;
        Ok((ExitStatus::from_raw(status), peak))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.reaped {
            self.kill();
            let _ = self.reap();
        }
    }
}

/// How long it is until then.
pub(crate) fn left(until: Instant) -> Timespec {
    let left = until.saturating_duration_since(Instant::now());
    Timespec {
        tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: left.subsec_nanos().into(),
    }
}
