//! A command's stream: frames in both directions, on a connection to its agent.

use banger_guest_api::{Channel, Control};
use banger_wire::files::Handed;
use banger_wire::{FrameReader, FrameWriter};
use tokio::io::{ReadHalf, WriteHalf, split};
use tokio::net::UnixStream;

use crate::error::ClientError;

/// Bytes read at once.
const CHUNK: usize = 256 << 10;

/// A running command's two directions.
#[derive(Debug)]
pub struct Session {
    /// To the command.
    pub sender: Sender,
    /// From the command.
    pub receiver: Receiver,
}

/// What goes to a command.
#[derive(Debug)]
pub struct Sender(FrameWriter<WriteHalf<UnixStream>>);

/// What comes from a command.
#[derive(Debug)]
pub struct Receiver(FrameReader<ReadHalf<UnixStream>>);

/// A frame that came.
#[derive(Debug)]
pub enum Received {
    /// Standard output, or all output of a terminal.
    Stdout(Vec<u8>),
    /// Standard error.
    Stderr(Vec<u8>),
    /// Everything else.
    Control(Control),
}

impl Session {
    /// A session on a connection to an agent.
    pub(crate) fn on(handed: Handed) -> std::io::Result<Self> {
        let Handed { agent, sent } = handed;
        agent.set_nonblocking(true)?;
        // Of halves that go at different times neither may close a direction: a vsock of Firecracker's would close both.
        let (from, to) = split(UnixStream::from_std(agent)?);
        Ok(Self {
            sender: Sender(FrameWriter::new(to)),
            receiver: Receiver(FrameReader::new(from, &sent, CHUNK)),
        })
    }
}

impl Sender {
    /// Sends input. Returns when it was taken: input that nobody reads yet is held back here.
    ///
    /// # Errors
    /// When the stream is closed: the command has ended.
    pub async fn stdin(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.payload(Channel::Stdin, bytes).await
    }

    /// Ends the command's input.
    ///
    /// # Errors
    /// As [`Sender::stdin`].
    pub async fn end_stdin(&mut self) -> std::io::Result<()> {
        self.0.end(Channel::Stdin).await
    }

    /// Sends a resize or a signal.
    ///
    /// # Errors
    /// As [`Sender::stdin`].
    pub async fn control(&mut self, control: &Control) -> std::io::Result<()> {
        self.0.control(control).await
    }
}

impl Receiver {
    /// The next frame; `None` when the stream has ended.
    ///
    /// # Errors
    /// When the stream broke or is none of frames.
    pub async fn next(&mut self) -> Result<Option<Received>, ClientError> {
        while let Some(frame) = self.0.next().await? {
            let payload = frame.payload;
            return Ok(Some(match frame.channel {
                Channel::Stdout => Received::Stdout(payload.to_vec()),
                Channel::Stderr => Received::Stderr(payload.to_vec()),
                Channel::Control => {
                    Received::Control(serde_json::from_slice(payload).map_err(ClientError::Answer)?)
                }
                // Only we send this.
                Channel::Stdin => continue,
            }));
        }
        Ok(None)
    }
}
