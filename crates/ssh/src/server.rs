//! One connection with its user and its channels.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use crate::auth::{self, ATTEMPTS, Verdict};
use crate::channel::{Channel, ChannelId, MAX_CHANNELS, MAX_DATA, Stage, WINDOW};
use crate::event::{Event, Exit, Opening, Refusal, Request, Stream};
use crate::transport::Transport;
use crate::wire::{Reader, Write};
use crate::{Error, HostKey, PublicKey, message, request};

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
            let mut payload = Vec::with_capacity(data.len() + 16);
            match stream {
                Stream::Data => payload.put_byte(message::CHANNEL_DATA),
                Stream::Stderr => payload.put_byte(message::CHANNEL_EXTENDED_DATA),
            }
            payload.put_number(channel.theirs);
            if stream == Stream::Stderr {
                payload.put_number(message::STDERR);
            }
            payload.put_string(data);
            self.send(&payload);
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
            Stage::Wanted => self.refuse(id, Refusal::Connect, "it is gone"),
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

    fn hear_all(&mut self) -> Result<(), Error> {
        while let Some(payload) = self.transport.next()? {
            match self.phase {
                Phase::Service => self.hear_service(&payload)?,
                Phase::Proof { attempts } => self.hear_proof(&payload, attempts)?,
                Phase::Connected => self.hear(&payload)?,
            }
        }
        Ok(())
    }

    fn hear_service(&mut self, payload: &[u8]) -> Result<(), Error> {
        let mut from = Reader::new(payload);
        match (from.byte()?, from.string()?) {
            (message::SERVICE_REQUEST, b"ssh-userauth") => {
                let mut answer = vec![message::SERVICE_ACCEPT];
                answer.put_string(b"ssh-userauth");
                self.send(&answer);
                self.phase = Phase::Proof { attempts: 0 };
                Ok(())
            }
            (kind, _) => Err(Error::Unexpected(kind)),
        }
    }

    fn hear_proof(&mut self, payload: &[u8], attempts: u32) -> Result<(), Error> {
        match payload.first() {
            Some(&message::USERAUTH_REQUEST) => {}
            kind => return Err(Error::Unexpected(kind.copied().unwrap_or_default())),
        }
        if attempts >= ATTEMPTS {
            return Err(Error::Attempts);
        }
        let session = self.transport.session()?;
        match auth::judge(payload, session, &self.keys, |user| self.users.knows(user))? {
            Verdict::Proved(user) => {
                self.send(&[message::USERAUTH_SUCCESS]);
                self.phase = Phase::Connected;
                self.events.push_back(Event::Authenticated { user });
            }
            Verdict::Promising(answer) => self.send(&answer),
            Verdict::Refused => {
                self.phase = Phase::Proof {
                    attempts: attempts + 1,
                };
                self.send(&auth::failure());
            }
        }
        Ok(())
    }

    fn hear(&mut self, payload: &[u8]) -> Result<(), Error> {
        let mut from = Reader::new(payload);
        let kind = from.byte()?;
        match kind {
            message::GLOBAL_REQUEST => self.hear_global(from),
            message::CHANNEL_OPEN => self.hear_open(from),
            message::CHANNEL_OPEN_CONFIRMATION | message::CHANNEL_OPEN_FAILURE => self.hear_offer(kind, from),
            message::CHANNEL_WINDOW_ADJUST
            | message::CHANNEL_DATA
            | message::CHANNEL_EXTENDED_DATA
            | message::CHANNEL_EOF
            | message::CHANNEL_CLOSE
            | message::CHANNEL_REQUEST => self.hear_channel(kind, from),
            // Answers to what we never ask; and asking again to be somebody is to be ignored (RFC 4252, 5.3).
            message::REQUEST_SUCCESS
            | message::REQUEST_FAILURE
            | message::CHANNEL_SUCCESS
            | message::CHANNEL_FAILURE
            | message::USERAUTH_REQUEST => Ok(()),
            _ => {
                let mut answer = vec![message::UNIMPLEMENTED];
                answer.put_number(self.transport.last_received());
                self.send(&answer);
                Ok(())
            }
        }
    }

    fn hear_global(&mut self, mut from: Reader<'_>) -> Result<(), Error> {
        let kind = from.string()?;
        let wants_answer = from.boolean()?;
        match request::listen(kind, &mut from)? {
            Some((at, begin)) => {
                let any_port = begin && matches!(at, crate::Listen::Tcp { port: 0, .. });
                self.answers.push_back((wants_answer, any_port));
                self.events.push_back(Event::Listen { at, begin });
            }
            // Such as a question whether we are still here.
            None if wants_answer => self.send(&[message::REQUEST_FAILURE]),
            None => {}
        }
        Ok(())
    }

    fn hear_open(&mut self, mut from: Reader<'_>) -> Result<(), Error> {
        let kind = from.string()?;
        let theirs = from.number()?;
        let (window, most) = (from.number()?, from.number()?);
        let open = match request::open(kind, &mut from)? {
            Ok(open) => open,
            Err(why) => {
                self.refuse_open(theirs, why, "there is no such thing here");
                return Ok(());
            }
        };
        if self.channels.len() >= MAX_CHANNELS {
            self.refuse_open(theirs, Refusal::Shortage, "there are too many channels");
            return Ok(());
        }
        let mut channel = Channel::new(Stage::Wanted, open == crate::Open::Session);
        channel.meet(theirs, window, most);
        let channel = self.add(channel);
        self.events.push_back(Event::Open { channel, open });
        Ok(())
    }

    /// What the client says to a channel of ours.
    fn hear_offer(&mut self, kind: u8, mut from: Reader<'_>) -> Result<(), Error> {
        let id = ChannelId(from.number()?);
        let offered = self
            .channels
            .get_mut(&id)
            .filter(|channel| channel.stage == Stage::Offered);
        let channel = offered.ok_or(Error::Unexpected(kind))?;
        if kind == message::CHANNEL_OPEN_FAILURE {
            self.channels.remove(&id);
            self.events.push_back(Event::Closed { channel: id });
            return Ok(());
        }
        let theirs = from.number()?;
        channel.meet(theirs, from.number()?, from.number()?);
        if channel.ended {
            // We have lost interest.
            channel.stage = Stage::Closing;
            self.send_close(theirs);
        } else {
            channel.stage = Stage::Open;
            self.events.push_back(Event::Ready { channel: id });
        }
        Ok(())
    }

    fn hear_channel(&mut self, kind: u8, mut from: Reader<'_>) -> Result<(), Error> {
        let id = ChannelId(from.number()?);
        let open = self
            .channels
            .get_mut(&id)
            .filter(|channel| matches!(channel.stage, Stage::Open | Stage::Closing));
        let channel = open.ok_or(Error::Unexpected(kind))?;
        let closing = channel.stage == Stage::Closing;
        match kind {
            message::CHANNEL_WINDOW_ADJUST => {
                channel.widened(from.number()?);
                self.events.push_back(Event::Ready { channel: id });
            }
            message::CHANNEL_DATA => {
                let data = from.string()?;
                channel.received(data.len())?;
                if !closing {
                    let bytes = data.to_vec();
                    self.events.push_back(Event::Data { channel: id, bytes });
                }
            }
            message::CHANNEL_EXTENDED_DATA => {
                // Nothing of ours reads it.
                let _kind = from.number()?;
                let count = from.string()?.len();
                channel.received(count)?;
                self.consumed(id, count);
            }
            message::CHANNEL_EOF => self.events.push_back(Event::Eof { channel: id }),
            message::CHANNEL_CLOSE => {
                let theirs = channel.theirs;
                self.channels.remove(&id);
                if !closing {
                    self.send_close(theirs);
                }
                self.events.push_back(Event::Closed { channel: id });
            }
            _ => self.hear_request(id, from)?,
        }
        Ok(())
    }

    fn hear_request(&mut self, id: ChannelId, mut from: Reader<'_>) -> Result<(), Error> {
        let kind = from.string()?;
        let wants_answer = from.boolean()?;
        let asked = request::session(kind, &mut from)?;
        let Some(channel) = self.channels.get_mut(&id) else {
            return Ok(());
        };
        if channel.stage == Stage::Closing {
            return Ok(());
        }
        channel.answers.push_back(wants_answer);
        // What nobody knows is answered in its turn, too.
        let request = asked.filter(|_| channel.is_session).unwrap_or(Request::Unknown);
        self.events.push_back(Event::Request { channel: id, request });
        Ok(())
    }
}
