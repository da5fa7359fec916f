//! One connection with its user and its channels: what is said on it. What is heard is in [`hear`].

mod hear;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use crate::channel::{Channel, ChannelId, MAX_CHANNELS, MAX_DATA, Stage, WINDOW};
use crate::event::{Event, Exit, Opening, Refusal, Stream};
use crate::transport::{Limits, Transport};
use crate::wire::Write;
use crate::{Error, HostKey, PublicKey, message};

/// Output that waits, beyond which channels have to.
const MUCH: usize = 256 << 10;

/// Output that waits, beyond which nothing more is to be received: it is answers, that nobody takes.
const TOO_MUCH: usize = 1 << 20;

/// Who there is.
pub trait Users {
    /// Whether there is such a user.
    fn knows(&self, name: &str) -> bool;
}

/// What is expected of the client.
enum Phase {
    /// That it asks to be somebody.
    Service,
    /// That it proves it.
    Proof { attempts: u32 },
    /// Channels.
    Connected,
}

/// The server's side of one connection.
pub struct Server {
    transport: Transport,
    users: Box<dyn Users>,
    keys: Vec<PublicKey>,
    phase: Phase,
    channels: BTreeMap<ChannelId, Channel>,
    next_channel: u32,
    events: VecDeque<Event>,
    /// Which of the requests to listen that wait want an answer, and whether it is a port that was left to us.
    answers: VecDeque<(bool, bool)>,
}

impl fmt::Debug for Server {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Server")
            .field("channels", &self.channels)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// A server that proves itself by `host`, and takes who is one of `users` and has one of `keys`.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn new(host: HostKey, keys: Vec<PublicKey>, users: Box<dyn Users>) -> Result<Self, Error> {
        Ok(Self {
            transport: Transport::new(host)?,
            users,
            keys,
            phase: Phase::Service,
            channels: BTreeMap::new(),
            next_channel: 0,
            events: VecDeque::new(),
            answers: VecDeque::new(),
        })
    }

    /// Exchanges keys again after so many bytes or packets in one direction, instead of as many as the ciphers allow.
    pub const fn renew_after(&mut self, bytes: u64, packets: u64) {
        self.transport.renew_after(Limits { bytes, packets });
    }

    /// Takes bytes that came. Take all events before the next ones.
    ///
    /// # Errors
    /// When the connection is at its end; the output has its last words.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.transport.receive(bytes);
        let heard = self.hear_all();
        if let Err(error) = heard
            && error != Error::Left
        {
            self.transport.disconnect(error.reason(), &error.to_string());
        }
        heard
    }

    /// The next event.
    pub fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// What is to be sent.
    pub fn output(&self) -> &[u8] {
        self.transport.output()
    }

    /// So many bytes of the output were sent.
    pub fn sent(&mut self, count: usize) {
        self.transport.sent(count);
    }

    /// Whether bytes are to be received: not while the client does not take its answers.
    pub fn listens(&self) -> bool {
        self.output().len() < TOO_MUCH
    }

    /// Whether channels have to wait before they write.
    pub fn is_full(&self) -> bool {
        self.transport.is_exchanging() || self.output().len() >= MUCH
    }

    /// Says that the client may have its channel.
    pub fn confirm(&mut self, id: ChannelId) {
        let Some(channel) = self.channels.get_mut(&id) else {
            return;
        };
        if channel.stage != Stage::Wanted {
            return;
        }
        channel.stage = Stage::Open;
        let mut payload = vec![message::CHANNEL_OPEN_CONFIRMATION];
        payload.put_number(channel.theirs);
        payload.put_number(id.0);
        payload.put_number(WINDOW);
        payload.put_number(MAX_DATA);
        self.send(&payload);
    }

    /// Says that the client may not have its channel, and why.
    pub fn refuse(&mut self, id: ChannelId, why: Refusal, words: &str) {
        let wanted = self
            .channels
            .get(&id)
            .is_some_and(|channel| channel.stage == Stage::Wanted);
        if !wanted {
            return;
        }
        if let Some(channel) = self.channels.remove(&id) {
            self.refuse_open(channel.theirs, why, words);
        }
    }

    /// Answers the oldest request of a channel that waits.
    pub fn answer(&mut self, id: ChannelId, done: bool) {
        let Some(channel) = self.channels.get_mut(&id) else {
            return;
        };
        if channel.answers.pop_front() != Some(true) || channel.stage != Stage::Open {
            return;
        }
        let mut payload = vec![if done {
            message::CHANNEL_SUCCESS
        } else {
            message::CHANNEL_FAILURE
        }];
        payload.put_number(channel.theirs);
        self.send(&payload);
    }

    /// Answers the oldest request to listen that waits, with the port if it is one.
    pub fn answer_listen(&mut self, done: Option<u16>) {
        let Some((true, any_port)) = self.answers.pop_front() else {
            return;
        };
        let mut payload = vec![match done {
            Some(_) => message::REQUEST_SUCCESS,
            None => message::REQUEST_FAILURE,
        }];
        if let Some(port) = done.filter(|_| any_port) {
            payload.put_number(port.into());
        }
        self.send(&payload);
    }

    /// Writes as much as may be written now, and gives how much that was; nothing at all when the channel is gone.
    pub fn write(&mut self, id: ChannelId, stream: Stream, bytes: &[u8]) -> Option<usize> {
        let mut written = 0;
        loop {
            let full = self.is_full();
            let channel = self.channels.get_mut(&id)?;
            match channel.stage {
                Stage::Open if !channel.ended => {}
                Stage::Offered => return Some(0),
                Stage::Open | Stage::Wanted | Stage::Closing => return None,
            }
            let count = channel.allowed(bytes.len() - written);
            if full || count == 0 {
                return Some(written);
            }
            let data = &bytes[written..written + count];
            channel.sent(count);
            let theirs = channel.theirs;
            let mut payload = self.transport.buffer();
            match stream {
                Stream::Data => payload.put_byte(message::CHANNEL_DATA),
                Stream::Stderr => payload.put_byte(message::CHANNEL_EXTENDED_DATA),
            }
            payload.put_number(theirs);
            if stream == Stream::Stderr {
                payload.put_number(message::STDERR);
            }
            payload.put_string(data);
            self.send(&payload);
            self.transport.recycle(payload);
            written += count;
        }
    }

    /// Bytes of a channel were taken: the client may send as many more.
    pub fn consumed(&mut self, id: ChannelId, count: usize) {
        let Some(channel) = self.channels.get_mut(&id) else {
            return;
        };
        if channel.stage != Stage::Open {
            return;
        }
        if let Some(more) = channel.consumed(count) {
            let mut payload = vec![message::CHANNEL_WINDOW_ADJUST];
            payload.put_number(channel.theirs);
            payload.put_number(more);
            self.send(&payload);
        }
    }

    /// Takes the buffer of an event's bytes back, which the next one may have.
    pub fn recycle(&mut self, buffer: Vec<u8>) {
        self.transport.recycle(buffer);
    }

    /// Says that a channel gets nothing more from us.
    pub fn end(&mut self, id: ChannelId) {
        let Some(channel) = self.channels.get_mut(&id) else {
            return;
        };
        if channel.stage == Stage::Open && !std::mem::replace(&mut channel.ended, true) {
            let mut payload = vec![message::CHANNEL_EOF];
            payload.put_number(channel.theirs);
            self.send(&payload);
        }
    }

    /// Says how a channel's command ended.
    pub fn exit(&mut self, id: ChannelId, exit: Exit) {
        let Some(channel) = self.channels.get(&id) else {
            return;
        };
        if channel.stage != Stage::Open {
            return;
        }
        let mut payload = vec![message::CHANNEL_REQUEST];
        payload.put_number(channel.theirs);
        match exit {
            Exit::Code(code) => {
                payload.put_string(b"exit-status");
                payload.put_byte(0);
                payload.put_number(code);
            }
            Exit::Signal(name) => {
                payload.put_string(b"exit-signal");
                payload.put_byte(0);
                payload.put_string(name.as_bytes());
                payload.put_byte(0);
                payload.put_string(b"");
                payload.put_string(b"");
            }
        }
        self.send(&payload);
    }

    /// Closes a channel.
    pub fn close(&mut self, id: ChannelId) {
        let Some(channel) = self.channels.get_mut(&id) else {
            return;
        };
        match channel.stage {
            Stage::Open => {
                channel.stage = Stage::Closing;
                let theirs = channel.theirs;
                self.send_close(theirs);
            }
            Stage::Wanted => self.refuse(id, Refusal::Connect, "the stream is gone"),
            // Its answer is still to come, and closes it.
            Stage::Offered => channel.ended = true,
            Stage::Closing => {}
        }
    }

    /// Opens a channel to the client; nothing when there are too many.
    pub fn open(&mut self, opening: &Opening) -> Option<ChannelId> {
        if self.channels.len() >= MAX_CHANNELS {
            return None;
        }
        let id = self.add(Channel::new(Stage::Offered, false));
        let mut payload = vec![message::CHANNEL_OPEN];
        payload.put_string(match opening {
            Opening::Tcp { .. } => b"forwarded-tcpip",
            Opening::Unix { .. } => b"forwarded-streamlocal@openssh.com",
            Opening::Agent => b"auth-agent@openssh.com",
        });
        payload.put_number(id.0);
        payload.put_number(WINDOW);
        payload.put_number(MAX_DATA);
        match opening {
            Opening::Tcp {
                address,
                port,
                from_address,
                from_port,
            } => {
                payload.put_string(address.as_bytes());
                payload.put_number((*port).into());
                payload.put_string(from_address.as_bytes());
                payload.put_number((*from_port).into());
            }
            Opening::Unix { path } => {
                payload.put_string(path);
                payload.put_string(b"");
            }
            Opening::Agent => {}
        }
        self.send(&payload);
        Some(id)
    }

    /// Sends a message. Only the encryption could refuse it, which then refuses all that follow.
    fn send(&mut self, payload: &[u8]) {
        let _ = self.transport.send(payload);
    }

    fn add(&mut self, channel: Channel) -> ChannelId {
        let id = ChannelId(self.next_channel);
        self.next_channel = self.next_channel.wrapping_add(1);
        self.channels.insert(id, channel);
        id
    }

    fn send_close(&mut self, theirs: u32) {
        let mut payload = vec![message::CHANNEL_CLOSE];
        payload.put_number(theirs);
        self.send(&payload);
    }

    fn refuse_open(&mut self, theirs: u32, why: Refusal, words: &str) {
        let mut payload = vec![message::CHANNEL_OPEN_FAILURE];
        payload.put_number(theirs);
        payload.put_number(why.number());
        payload.put_string(words.as_bytes());
        payload.put_string(b"");
        self.send(&payload);
    }
}
