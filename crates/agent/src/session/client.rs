//! A client of a session: what it is sent, at its own pace, and what it sends.
//!
//! A client that is slow holds up nobody: what it is sent is read from the log when it has room, one piece at a time.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use banger_guest_api::{
    Channel, Control, Decoder, Failure, OutputStream, SessionOutput, SessionStream, TerminalSize, Writing,
    frame,
};
use rustix::io::Errno;
use rustix::net::{SendFlags, Shutdown, send, shutdown};

use super::log::{Log, Next, Reader};
use super::screen::Screen;

/// Output that is read for a client at once, of as many records as it takes.
const PIECE: usize = 64 << 10;

/// The most output that is looked at for one who does not want all of it, before others have their turn.
const PASSED: u64 = 4 << 20;

/// Bytes that are read from a client at once.
const HEARD: usize = 64 << 10;

/// How far behind a screen may be that is followed byte by byte; then it is painted again.
const BEHIND: u64 = 1 << 20;

/// What is shown of a session without a terminal to who attaches.
const TAIL: u64 = 8 << 10;

/// How long a client may stay after it was sent the last frame: on a connection that is closed with something unread, that
/// may be lost.
const FAREWELL: Duration = Duration::from_secs(5);

/// A client.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) connection: OwnedFd,
    output: SessionOutput,
    only: Option<OutputStream>,
    /// Nothing for one that gets no output, or no more.
    reader: Option<Reader>,
    /// The log's end when it came, for one that does not follow.
    until: u64,
    /// Frames on their way, and how much of them has gone.
    outgoing: Vec<u8>,
    gone: usize,
    pub(super) writes: Writing,
    decoder: Decoder,
    /// Input that the command has not taken yet.
    input: Vec<u8>,
    taken: usize,
    /// The end of its input is to be told when all of it is taken.
    ends_input: bool,
    /// It was sent its last frame, or will be with what is on its way.
    farewell: Option<Instant>,
    has_ended: bool,
    has_left: bool,
}

/// What a client wants.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// A size of the terminal.
    Resize(TerminalSize),
    /// A signal for the command.
    Signal(i32),
    /// Its input is to be given to the command.
    Input,
}

impl Client {
    /// A client that asked for `stream`, and sent `sent` with that.
    pub(super) fn new(connection: OwnedFd, stream: &SessionStream, sent: &[u8], log: &Log) -> Self {
        let mut decoder = Decoder::new();
        decoder.extend(sent);
        let since = match (stream.output, stream.since) {
            (SessionOutput::None, _) => None,
            (SessionOutput::Live, None) => Some(log.end().saturating_sub(TAIL).max(log.extent().start)),
            (_, since) => Some(since.unwrap_or(log.extent().start).min(log.end())),
        };
        Self {
            connection,
            output: stream.output,
            only: stream.only,
            reader: since.map(Reader::at),
            until: log.end(),
            outgoing: Vec::new(),
            gone: 0,
            writes: stream.input,
            decoder,
            input: Vec::new(),
            taken: 0,
            ends_input: false,
            farewell: None,
            has_ended: false,
            has_left: false,
        }
    }

    /// Tells it something.
    pub(super) fn tell(&mut self, control: &Control) {
        self.outgoing.extend_from_slice(&frame::encode_control(control));
    }

    /// Tells it the cursor that it begins at, once: from there it counts itself.
    pub(super) fn tell_place(&mut self) {
        if let Some(reader) = &self.reader {
            let cursor = reader.cursor();
            let time_us = crate::clock::now_us();
            self.tell(&Control::At { cursor, time_us });
        }
    }

    /// Shows it a screen, which is what the log up to `cursor` leads to.
    pub(super) fn show(&mut self, painted: &[u8], cursor: u64) {
        for piece in painted.chunks(frame::MAX_PAYLOAD) {
            self.outgoing
                .extend_from_slice(&frame::header(Channel::Stdout, piece.len()));
            self.outgoing.extend_from_slice(piece);
        }
        self.reader = Some(Reader::at(cursor));
    }

    /// Tells it the last thing.
    pub(super) fn dismiss(&mut self, control: &Control) {
        if self.farewell.is_none() {
            self.tell(control);
            self.reader = None;
            self.writes = Writing::No;
            self.input.clear();
            self.farewell = Some(Instant::now() + FAREWELL);
        }
    }

    /// The same, because it cannot have what it asked for.
    pub(super) fn refuse(&mut self, failure: Failure) {
        self.dismiss(&Control::Error {
            failure,
            exit_code: 125,
        });
    }

    /// Whether there is nothing more to do for it.
    pub(super) fn is_over(&self) -> bool {
        let is_late = self.farewell.is_some_and(|latest| Instant::now() >= latest);
        self.has_left || (is_late && self.has_ended)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.farewell.filter(|_| self.has_ended)
    }

    /// Whether it has something to be sent.
    pub(super) fn awaits_output(&self, log: &Log) -> bool {
        let has_more = |reader: &Reader| reader.cursor() < log.end() || self.output == SessionOutput::Log;
        self.gone < self.outgoing.len() || self.reader.as_ref().is_some_and(has_more)
    }

    /// Whether it is listened to: not while the command takes no input.
    pub(super) fn is_heard(&self) -> bool {
        !self.has_input()
    }

    /// Whether it has sent input that the command is to take.
    pub(super) fn has_input(&self) -> bool {
        self.taken < self.input.len() || self.ends_input
    }

    /// Puts the next piece of output on its way, if all before is gone.
    pub(super) fn prepare(&mut self, log: &Log, screen: Option<&Screen>) {
        if self.gone < self.outgoing.len() || self.farewell.is_some() || !self.awaits_output(log) {
            return;
        }
        self.outgoing.clear();
        self.gone = 0;
        let Some(reader) = &mut self.reader else { return };
        let is_behind = log.end() - reader.cursor() > BEHIND;
        if let (SessionOutput::Live, Some(screen), true) = (self.output, screen, is_behind) {
            let bytes = log.end() - reader.cursor();
            self.tell(&Control::Gap { channel: 0, bytes });
            return self.show(&screen.paint(), log.end());
        }
        let until = reader.cursor() + PASSED;
        let mut buffer = vec![0; PIECE];
        while self.outgoing.len() < PIECE
            && self.reader.as_ref().is_some_and(|reader| reader.cursor() < until)
        {
            match self.read(log, &mut buffer) {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => return self.refuse(crate::failure::failed("read the session's log", error)),
            }
        }
    }

    /// Puts what comes next in the log on its way. False when nothing does.
    fn read(&mut self, log: &Log, buffer: &mut [u8]) -> io::Result<bool> {
        let Some(reader) = &mut self.reader else {
            return Ok(false);
        };
        if self.output == SessionOutput::Log && reader.cursor() >= self.until {
            let cursor = reader.cursor();
            self.dismiss(&Control::Left { cursor });
            return Ok(false);
        }
        let mut piece = buffer.len();
        if self.output == SessionOutput::Log {
            piece = piece.min((self.until - reader.cursor()) as usize);
        }
        match reader.next(log, &mut buffer[..piece])? {
            Next::End => return Ok(false),
            Next::Gap(bytes) => self.tell(&Control::Gap { channel: 0, bytes }),
            Next::Output {
                stream,
                cursor,
                time_us,
                len,
            } => {
                if self.only.is_some_and(|only| only != stream) {
                    return Ok(true);
                }
                if self.output != SessionOutput::Live {
                    self.tell(&Control::At { cursor, time_us });
                }
                let channel = match stream {
                    OutputStream::Stdout => Channel::Stdout,
                    OutputStream::Stderr => Channel::Stderr,
                };
                self.outgoing.extend_from_slice(&frame::header(channel, len));
                self.outgoing.extend_from_slice(&buffer[..len]);
            }
        }
        Ok(true)
    }

    /// Whether it has been sent all that was written.
    pub(super) fn has_all(&self, log: &Log) -> bool {
        self.gone >= self.outgoing.len()
            && self
                .reader
                .as_ref()
                .is_none_or(|reader| reader.cursor() >= log.end())
    }

    /// Whether it is to be told how the session ended. One that only sends hears so when it sends more: it may be about to
    /// leave, with all of its input taken.
    pub(super) fn is_waiting_for_the_end(&self) -> bool {
        self.farewell.is_none() && self.output != SessionOutput::None
    }

    /// Sends what the connection takes.
    pub(super) fn send(&mut self) {
        while self.gone < self.outgoing.len() {
            match send(&self.connection, &self.outgoing[self.gone..], SendFlags::NOSIGNAL) {
                Ok(sent) => self.gone += sent,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Err(_) => return self.has_left = true,
            }
        }
        if self.farewell.is_some() && !self.has_ended {
            self.has_ended = true;
            self.farewell = Some(Instant::now() + FAREWELL);
            let _ = shutdown(&self.connection, Shutdown::Write);
        }
    }

    /// Reads what it sent, once.
    pub(super) fn hear(&mut self) {
        let mut buffer = vec![0; HEARD];
        match rustix::io::read(&self.connection, &mut buffer) {
            Ok(0) => self.has_left = true,
            Ok(read) if self.farewell.is_none() => self.decoder.extend(&buffer[..read]),
            Ok(_) | Err(Errno::INTR | Errno::AGAIN) => {}
            Err(_) => self.has_left = true,
        }
    }

    /// What it wants next; nothing when more has to be read, or its input taken.
    pub(super) fn next_wish(&mut self, cursor: u64) -> Option<Wish> {
        while !self.has_input() && self.farewell.is_none() {
            let frame = match self.decoder.next_frame() {
                Ok(frame) => frame?,
                // It cannot be understood again: as good as gone.
                Err(_) => {
                    self.has_left = true;
                    return None;
                }
            };
            match (frame.channel, frame.payload) {
                (Channel::Stdin, _) if self.writes == Writing::No => {}
                (Channel::Stdin, []) => {
                    self.ends_input = true;
                    return Some(Wish::Input);
                }
                (Channel::Stdin, bytes) => {
                    self.input = bytes.to_vec();
                    self.taken = 0;
                    return Some(Wish::Input);
                }
                (Channel::Control, json) => match serde_json::from_slice(json) {
                    Ok(Control::Resize { size }) if self.writes != Writing::No => {
                        return Some(Wish::Resize(size));
                    }
                    Ok(Control::Signal { signal }) if self.writes != Writing::No => {
                        return Some(Wish::Signal(signal));
                    }
                    Ok(Control::Leave) => {
                        let cursor = self.reader.as_ref().map_or(cursor, Reader::cursor);
                        self.dismiss(&Control::Left { cursor });
                    }
                    // Words of ours, of one who only watches, or of a newer host.
                    Ok(_) | Err(_) => {}
                },
                (Channel::Stdout | Channel::Stderr, _) => {}
            }
        }
        None
    }

    /// Gives the command its input, as much as it takes. False when the command takes no more at all.
    pub(super) fn give(&mut self, to: &OwnedFd) -> bool {
        while self.taken < self.input.len() {
            match rustix::io::write(to, &self.input[self.taken..]) {
                Ok(written) => self.taken += written,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return true,
                Err(_) => return false,
            }
        }
        self.input = Vec::new();
        self.taken = 0;
        true
    }

    /// Whether the end of input is due: all before it is taken.
    pub(super) fn take_end_of_input(&mut self) -> bool {
        self.input.is_empty() && std::mem::take(&mut self.ends_input)
    }
}
