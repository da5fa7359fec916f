//! One channel: whose it is on either side, and how much each may send (RFC 4254, section 5).

use std::collections::VecDeque;

use crate::Error;

/// Our number of a channel. None is used twice on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelId(pub(crate) u32);

/// Channels that a connection may have at once.
pub const MAX_CHANNELS: usize = 256;

/// Bytes that a client may send on a channel beyond what was taken. All channels of a connection together hold 64 MiB at
/// the worst.
pub const WINDOW: u32 = 256 << 10;

/// The most data of a packet, in either direction: what every client takes (RFC 4253, section 6.1).
pub(crate) const MAX_DATA: u32 = 32 << 10;

/// How far a channel is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The client wants it, and we have not said.
    Wanted,
    /// We want it, and the client has not said.
    Offered,
    Open,
    /// We have said the end, and the client has not.
    Closing,
}

#[derive(Debug)]
pub(crate) struct Channel {
    /// The client's number.
    pub(crate) theirs: u32,
    pub(crate) stage: Stage,
    /// Whether commands may be asked of it.
    pub(crate) is_session: bool,
    /// What the client may still send.
    receive: u32,
    /// What was taken, and the client has not been told of.
    taken: u32,
    /// What we may still send.
    send: u32,
    most: u32,
    pub(crate) ended: bool,
    /// Which of the requests that wait want an answer.
    pub(crate) answers: VecDeque<bool>,
}

impl Channel {
    pub(crate) fn new(stage: Stage, is_session: bool) -> Self {
        Self {
            theirs: 0,
            stage,
            is_session,
            receive: WINDOW,
            taken: 0,
            send: 0,
            most: 0,
            ended: false,
            answers: VecDeque::new(),
        }
    }

    /// The client's number, and what it takes.
    pub(crate) fn meet(&mut self, theirs: u32, window: u32, most: u32) {
        self.theirs = theirs;
        self.send = window;
        self.most = most.min(MAX_DATA);
    }

    /// Data came.
    pub(crate) fn received(&mut self, count: usize) -> Result<(), Error> {
        let count = u32::try_from(count).map_err(|_| Error::Window)?;
        self.receive = self.receive.checked_sub(count).ok_or(Error::Window)?;
        Ok(())
    }

    /// Data was taken; gives by how much the window opens, once it is worth a message.
    pub(crate) fn consumed(&mut self, count: usize) -> Option<u32> {
        self.taken = self
            .taken
            .saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
        if self.taken < WINDOW / 4 {
            return None;
        }
        let more = std::mem::take(&mut self.taken);
        self.receive = self.receive.saturating_add(more);
        Some(more)
    }

    /// The client takes more.
    pub(crate) fn widened(&mut self, more: u32) {
        self.send = self.send.saturating_add(more);
    }

    /// How much of `count` bytes may go in one packet now.
    pub(crate) fn allowed(&self, count: usize) -> usize {
        count.min(self.send.min(self.most) as usize)
    }

    pub(crate) fn sent(&mut self, count: usize) {
        // No more than was allowed.
        self.send = self.send.saturating_sub(u32::try_from(count).unwrap_or(u32::MAX));
    }
}
