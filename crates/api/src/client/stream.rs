//! A command's stream: frames in both directions, on a connection to its agent.

use banger_guest_api::{Channel, Control, Decoder, frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::net::UnixStream;

use super::ClientError;
use super::handed::Handed;

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
pub struct Sender(WriteHalf<UnixStream>);

/// What comes from a command.
#[derive(Debug)]
pub struct Receiver {
    from: ReadHalf<UnixStream>,
    decoder: Decoder,
    buffer: Vec<u8>,
}

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
    pub(super) fn on(handed: Handed) -> std::io::Result<Self> {
        let Handed { agent, sent } = handed;
        agent.set_nonblocking(true)?;
        // Of halves that go at different times neither may close a direction: a vsock of Firecracker's would close both.
        let (from, to) = split(UnixStream::from_std(agent)?);
        let mut decoder = Decoder::new();
        decoder.extend(&sent);
        Ok(Self {
            sender: Sender(to),
            receiver: Receiver {
                from,
                decoder,
                buffer: vec![0; CHUNK],
            },
        })
    }
}

impl Sender {
    /// Sends input. Returns when it was taken: input that nobody reads yet is held back here.
    ///
    /// # Errors
    /// When the stream is closed: the command has ended.
    pub async fn stdin(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        for chunk in bytes.chunks(frame::MAX_PAYLOAD) {
            self.0
                .write_all(&frame::header(Channel::Stdin, chunk.len()))
                .await?;
            self.0.write_all(chunk).await?;
        }
        self.0.flush().await
    }

    /// Ends the command's input.
    ///
    /// # Errors
    /// As [`Sender::stdin`].
    pub async fn end_stdin(&mut self) -> std::io::Result<()> {
        self.0.write_all(&frame::header(Channel::Stdin, 0)).await?;
        self.0.flush().await
    }

    /// Sends a resize or a signal.
    ///
    /// # Errors
    /// As [`Sender::stdin`].
    pub async fn control(&mut self, control: &Control) -> std::io::Result<()> {
        self.0.write_all(&frame::encode_control(control)).await?;
        self.0.flush().await
    }
}

impl Receiver {
    /// The next frame; `None` when the stream has ended.
    ///
    /// # Errors
    /// When the stream broke or is none of frames.
    pub async fn next(&mut self) -> Result<Option<Received>, ClientError> {
        loop {
            if let Some(frame) = self.decoder.next_frame().map_err(ClientError::Frame)? {
                let payload = frame.payload.to_vec();
                return Ok(Some(match frame.channel {
                    Channel::Stdout => Received::Stdout(payload),
                    Channel::Stderr => Received::Stderr(payload),
                    Channel::Control => {
                        Received::Control(serde_json::from_slice(&payload).map_err(ClientError::Answer)?)
                    }
                    // Only we send this.
                    Channel::Stdin => continue,
                }));
            }
            let read = self
                .from
                .read(&mut self.buffer)
                .await
                .map_err(ClientError::Stream)?;
            if read == 0 {
                return Ok(None);
            }
            self.decoder.extend(&self.buffer[..read]);
        }
    }
}
