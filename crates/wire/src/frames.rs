//! Frames of `stdio_mux_v1` over a stream, for tasks. For threads there are [`banger_guest_api::PayloadReader`] and
//! [`banger_guest_api::PayloadWriter`].

use std::io;

use banger_guest_api::{Channel, Control, Decoder, Frame, FrameError, frame};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// No frame came.
#[derive(Debug, thiserror::Error)]
pub enum FrameReadError {
    /// The stream broke.
    #[error(transparent)]
    Stream(#[from] io::Error),
    /// What came is no frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
}

/// The frames of a stream.
#[derive(Debug)]
pub struct FrameReader<R> {
    from: R,
    decoder: Decoder,
    buffer: Vec<u8>,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// The frames that come `from` a stream, of which `sent` was read before. So many bytes are read at once.
    pub fn new(from: R, sent: &[u8], at_once: usize) -> Self {
        let mut decoder = Decoder::new();
        decoder.extend(sent);
        Self {
            from,
            decoder,
            buffer: vec![0; at_once],
        }
    }

    /// The next frame; nothing when the stream has ended, in the middle of a frame or not. One that is dropped has taken nothing that
    /// the next one misses.
    ///
    /// # Errors
    /// When the stream broke, or is none of frames.
    pub async fn next(&mut self) -> Result<Option<Frame<'_>>, FrameReadError> {
        while !self.decoder.has_frame()? {
            let read = self.from.read(&mut self.buffer).await?;
            if read == 0 {
                return Ok(None);
            }
            self.decoder.extend(&self.buffer[..read]);
        }
        Ok(self.decoder.next_frame()?)
    }
}

/// Writes frames to a stream.
#[derive(Debug)]
pub struct FrameWriter<W>(W);

#[expect(
    clippy::missing_errors_doc,
    reason = "the same for all of them: the stream takes no more"
)]
impl<W: AsyncWrite + Unpin> FrameWriter<W> {
    /// Writes `to` a stream.
    pub const fn new(to: W) -> Self {
        Self(to)
    }

    /// Sends bytes on a channel, in as many frames as they need: none for none.
    pub async fn payload(&mut self, channel: Channel, bytes: &[u8]) -> io::Result<()> {
        for chunk in bytes.chunks(frame::MAX_PAYLOAD) {
            self.0.write_all(&frame::header(channel, chunk.len())).await?;
            self.0.write_all(chunk).await?;
        }
        self.0.flush().await
    }

    /// Says that nothing more comes on a channel.
    pub async fn end(&mut self, channel: Channel) -> io::Result<()> {
        self.0.write_all(&frame::header(channel, 0)).await?;
        self.0.flush().await
    }

    /// Sends a message.
    pub async fn control(&mut self, control: &Control) -> io::Result<()> {
        self.0.write_all(&frame::encode_control(control)).await?;
        self.0.flush().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_written_is_read_and_the_end_is_seen() {
        let (ours, theirs) = tokio::io::duplex(1000);
        let long = vec![7; frame::MAX_PAYLOAD + 1];
        let payload = long.clone();
        tokio::spawn(async move {
            let mut writer = FrameWriter::new(theirs);
            writer.payload(Channel::Stdout, &payload).await.unwrap();
            writer.payload(Channel::Stdout, b"").await.unwrap();
            writer.control(&Control::Leave).await.unwrap();
            writer.end(Channel::Stdin).await.unwrap();
        });
        let sent = frame::encode(Channel::Stderr, b"before");
        let mut reader = FrameReader::new(ours, &sent, 64);
        let mut seen = Vec::new();
        while let Some(frame) = reader.next().await.unwrap() {
            seen.push((frame.channel, frame.payload.to_vec()));
        }
        let control = frame::encode_control(&Control::Leave)[frame::HEADER..].to_vec();
        assert_eq!(
            seen,
            [
                (Channel::Stderr, b"before".to_vec()),
                (Channel::Stdout, long[..frame::MAX_PAYLOAD].to_vec()),
                (Channel::Stdout, vec![7]),
                (Channel::Control, control),
                (Channel::Stdin, Vec::new()),
            ]
        );
    }

    #[tokio::test]
    async fn nonsense_and_a_cut_are_told_apart() {
        let nonsense = FrameReader::new(tokio::io::empty(), &[9, 0, 0, 0, 0], 64)
            .next()
            .await
            .map(drop);
        assert!(matches!(
            nonsense,
            Err(FrameReadError::Frame(FrameError::Channel(9)))
        ));
        let cut = FrameReader::new(tokio::io::empty(), &[2, 0, 0, 0, 9, 1], 64)
            .next()
            .await
            .map(|frame| frame.is_none());
        assert!(matches!(cut, Ok(true)));
    }
}
