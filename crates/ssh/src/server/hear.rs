//! What the client says.

use super::{Phase, Server};
use crate::auth::{self, ATTEMPTS, Verdict};
use crate::channel::{Channel, ChannelId, MAX_CHANNELS, Stage};
use crate::event::{Event, Refusal, Request};
use crate::wire::{Reader, Write};
use crate::{Error, message, request};

impl Server {
    pub(super) fn hear_all(&mut self) -> Result<(), Error> {
        while let Some(payload) = self.transport.next()? {
            match self.phase {
                Phase::Service => self.hear_service(&payload)?,
                Phase::Proof { attempts } => self.hear_proof(&payload, attempts)?,
                Phase::Connected => {
                    if payload.first() == Some(&message::CHANNEL_DATA) {
                        self.hear_data(payload)?;
                        continue;
                    }
                    self.hear(&payload)?;
                }
            }
            self.transport.recycle(payload);
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
                self.transport.trust();
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
        let (id, channel) = self.established(kind, &mut from)?;
        let closing = channel.stage == Stage::Closing;
        match kind {
            message::CHANNEL_WINDOW_ADJUST => {
                channel.widened(from.number()?);
                self.events.push_back(Event::Ready { channel: id });
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

    /// Data is most of what comes; its bytes stay in the buffer that they came in.
    fn hear_data(&mut self, mut payload: Vec<u8>) -> Result<(), Error> {
        let mut from = Reader::new(&payload);
        let kind = from.byte()?;
        let (id, channel) = self.established(kind, &mut from)?;
        let length = from.string()?.len();
        channel.received(length)?;
        if channel.stage == Stage::Closing {
            self.transport.recycle(payload);
            return Ok(());
        }
        // Kind, channel and length.
        let before = 1 + 4 + 4;
        payload.truncate(before + length);
        payload.drain(..before);
        self.events.push_back(Event::Data {
            channel: id,
            bytes: payload,
        });
        Ok(())
    }

    /// The channel that a message is about, which both sides have.
    fn established(&mut self, kind: u8, from: &mut Reader<'_>) -> Result<(ChannelId, &mut Channel), Error> {
        let id = ChannelId(from.number()?);
        let channel = self.channels.get_mut(&id);
        let channel = channel.filter(|channel| matches!(channel.stage, Stage::Open | Stage::Closing));
        Ok((id, channel.ok_or(Error::Unexpected(kind))?))
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
