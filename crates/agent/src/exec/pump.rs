//! Output of a command as frames, with nothing held back and nothing held for long.

use std::io::{self, IoSlice, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use banger_guest_api::{Channel, Control, frame};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::socket::Blocking;

/// Bytes read at once.
const CHUNK: usize = 128 << 10;

/// How long output may be quiet, once the command has ended, before its stream is taken as finished though something
/// that the command left behind holds it open.
const QUIET: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 50_000_000,
};

/// How long it may go on at all, if it is never quiet, beyond what the command itself left to be read.
const LATEST: Duration = Duration::from_secs(2);

/// The connection's sending side, shared by the pumps: a frame is written whole.
#[derive(Debug)]
pub(super) struct Sender<'a>(Mutex<&'a Blocking>);

impl<'a> Sender<'a> {
    pub(super) fn new(connection: &'a Blocking) -> Self {
        Self(Mutex::new(connection))
    }

    fn lock(&self) -> MutexGuard<'_, &'a Blocking> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a control frame.
    pub(super) fn control(&self, control: &Control) -> io::Result<()> {
        let frame = frame::encode_control(control);
        (&mut *self.lock()).write_all(&frame)
    }

    fn data(&self, channel: Channel, payload: &[u8]) -> io::Result<()> {
        let header = frame::header(channel, payload.len());
        let connection = &mut *self.lock();
        let written = connection.write_vectored(&[IoSlice::new(&header), IoSlice::new(payload)])?;
        if written < header.len() {
            connection.write_all(&header[written..])?;
            return connection.write_all(payload);
        }
        connection.write_all(&payload[written - header.len()..])
    }
}

/// Copies `from` to the connection until it ends, or is quiet or too late after the command has ended: `alive` is the reading end
/// of a pipe that the command's end closes.
///
/// When the client is gone, the rest is thrown away: a command that ignores the hang-up must not stand still for ever
/// because nobody reads.
pub(super) fn pump(from: &OwnedFd, channel: Channel, to: &Sender<'_>, alive: &OwnedFd) {
    let mut buffer = vec![0; CHUNK];
    let mut ended = None;
    let mut listening = true;
    while wait(from, alive, &mut ended) {
        let read = match rustix::io::read(from, &mut buffer) {
            // A terminal whose last user has gone says EIO.
            Ok(0) | Err(Errno::IO) => return,
            Ok(read) => read,
            Err(Errno::INTR | Errno::AGAIN) => continue,
            Err(_) => return,
        };
        if let Some(rest) = &mut ended {
            rest.owed = rest.owed.saturating_sub(read as u64);
        }
        if listening && to.data(channel, &buffer[..read]).is_err() {
            listening = false;
        }
    }
}

/// What is left of a stream whose command has ended.
struct Rest {
    since: Instant,
    /// Bytes that were there at the command's end, and are its own: a slow client must get them, however late.
    owed: u64,
}

/// Waits for output. False when the command has ended and there is none, or only others' for too long.
fn wait(from: &OwnedFd, alive: &OwnedFd, ended: &mut Option<Rest>) -> bool {
    if matches!(ended, Some(rest) if rest.owed == 0 && rest.since.elapsed() > LATEST) {
        return false;
    }
    loop {
        let mut fds = [
            PollFd::new(from, PollFlags::IN),
            PollFd::from_borrowed_fd(alive.as_fd(), PollFlags::IN),
        ];
        let (fds, timeout) = if ended.is_some() {
            (&mut fds[..1], Some(&QUIET))
        } else {
            (&mut fds[..], None)
        };
        match poll(fds, timeout) {
            Ok(0) => return false,
            Err(Errno::INTR) => continue,
            Err(_) => return false,
            Ok(_) => {}
        }
        let readable = !fds[0].revents().is_empty();
        if fds.get(1).is_none_or(|alive| alive.revents().is_empty()) && readable {
            return true;
        }
        *ended = Some(Rest {
            since: Instant::now(),
            // A terminal that cannot tell ends by itself: its hang-up fails whoever still writes.
            owed: rustix::io::ioctl_fionread(from).unwrap_or_default(),
        });
    }
}
