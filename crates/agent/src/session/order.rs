//! What the server says to the keepers of sessions, and what they answer: a line of JSON each way, the client's connection
//! beside the first byte of an order that has one.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use banger_guest_api::{Failure, Session, SessionStart, SessionStream};
use rustix::io::retry_on_intr;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::exec::Surroundings;
use crate::socket::Socket;

/// Longer than any order or answer.
const LONGEST: usize = 16 << 20;

/// An order.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Order {
    /// The first one: start the session of this name.
    Begin {
        name: String,
        start: Box<SessionStart>,
        surroundings: Surroundings,
    },
    /// The first one: serve a client of a session that has ended. Its connection comes along.
    Recall {
        name: String,
        stream: SessionStream,
        sent: Vec<u8>,
    },
    /// Tell about the session.
    Describe,
    /// The same, when it has ended.
    Wait,
    /// Serve a client, whose connection comes along.
    Stream { stream: SessionStream, sent: Vec<u8> },
    /// Deliver a signal.
    Signal(i32),
    /// End, within so many milliseconds.
    Stop(u64),
}

/// An answer.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    /// It is done, and this is the session.
    Done(Box<Session>),
    /// The client is served from here on.
    Taken,
    /// It cannot be done.
    Refused(Failure),
}

/// Sends an order and gives the answer; nothing when the keeper ended before it gave one.
pub(super) async fn ask(
    mut keeper: Socket,
    order: &Order,
    connection: Option<&OwnedFd>,
) -> io::Result<Option<Answer>> {
    let mut line = serde_json::to_vec(order)?;
    line.push(b'\n');
    let sent = async {
        send_first(&keeper, &line[..1], connection)?;
        keeper.write_all(&line[1..]).await
    };
    match sent.await {
        Ok(()) => {}
        Err(error) if has_ended(&error) => return Ok(None),
        Err(error) => return Err(error),
    }
    let mut answer = Vec::new();
    match keeper.read_to_end(&mut answer).await {
        Ok(_) if answer.is_empty() => Ok(None),
        Ok(_) => Ok(Some(serde_json::from_slice(&answer)?)),
        Err(error) if has_ended(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn has_ended(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset | io::ErrorKind::NotConnected
    )
}

/// The buffer of a socket that nothing was sent to takes this at once.
fn send_first(keeper: &Socket, bytes: &[u8], connection: Option<&OwnedFd>) -> io::Result<()> {
    let descriptors = connection.map(|connection| [connection.as_fd()]);
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if let Some(descriptors) = &descriptors {
        ancillary.push(SendAncillaryMessage::ScmRights(descriptors));
    }
    let bytes = [IoSlice::new(bytes)];
    retry_on_intr(|| sendmsg(keeper, &bytes, &mut ancillary, SendFlags::NOSIGNAL))?;
    Ok(())
}

/// An order on its way to a keeper.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    line: Vec<u8>,
    connection: Option<OwnedFd>,
}

/// How far an order has come.
pub(super) enum Received {
    /// There is more to come.
    Part,
    /// It is whole.
    Whole(Order, Option<OwnedFd>),
    /// Whoever sent it has gone, or sends no orders.
    Nothing,
}

impl Incoming {
    /// Reads on, once.
    pub(super) fn read(&mut self, from: impl AsFd) -> Received {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut buffer = [0; 4096];
        let received = recvmsg(
            from,
            &mut [IoSliceMut::new(&mut buffer)],
            &mut ancillary,
            RecvFlags::CMSG_CLOEXEC,
        );
        let read = match received {
            Ok(received) => received.bytes,
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => return Received::Part,
            Err(_) => return Received::Nothing,
        };
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(mut descriptors) = message {
                self.connection = descriptors.next();
            }
        }
        self.line.extend_from_slice(&buffer[..read]);
        if self.line.last() == Some(&b'\n') {
            return match serde_json::from_slice(&self.line) {
                Ok(order) => Received::Whole(order, self.connection.take()),
                Err(_) => Received::Nothing,
            };
        }
        if read == 0 || self.line.len() > LONGEST {
            return Received::Nothing;
        }
        Received::Part
    }
}
