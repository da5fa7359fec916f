//! The framing `stdio_mux_v1`: one byte of channel, a big-endian `u32` length, the payload.
//!
//! | channel | direction | payload |
//! |---|---|---|
//! | 1 stdin | to the guest | bytes; an empty frame is end of file |
//! | 2 stdout, 3 stderr | to the host | bytes |
//! | 4 control | both | JSON of [`crate::Control`] |
//!
//! The streams are binary-safe and unbounded; a frame is at most [`MAX_PAYLOAD`] bytes, so that either side holds
//! one frame in memory and no more.

/// The most bytes that one frame carries.
pub const MAX_PAYLOAD: usize = 1 << 20;

/// Bytes before a frame's payload.
pub const HEADER: usize = 5;

/// What a frame belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Channel {
    /// The command's standard input.
    Stdin = 1,
    /// The command's standard output, or all output of a terminal.
    Stdout = 2,
    /// The command's standard error.
    Stderr = 3,
    /// [`crate::Control`] as JSON.
    Control = 4,
}

impl Channel {
    const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Stdin),
            2 => Some(Self::Stdout),
            3 => Some(Self::Stderr),
            4 => Some(Self::Control),
            _ => None,
        }
    }
}

/// A whole frame, borrowed from the decoder's buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What it belongs to.
    pub channel: Channel,
    /// Its bytes.
    pub payload: &'a [u8],
}

/// A stream that is not `stdio_mux_v1`. It cannot be resynchronised: close it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A channel number that does not exist.
    #[error("invalid frame: unknown channel {0}")]
    Channel(u8),
    /// A length beyond [`MAX_PAYLOAD`].
    #[error("invalid frame: {0} bytes, more than the {MAX_PAYLOAD} allowed")]
    TooLong(u32),
}

/// The five bytes before a payload of `len` bytes.
///
/// # Panics
/// When `len` exceeds [`MAX_PAYLOAD`]: split the payload first.
pub fn header(channel: Channel, len: usize) -> [u8; HEADER] {
    assert!(len <= MAX_PAYLOAD, "a frame carries at most {MAX_PAYLOAD} bytes");
    let [a, b, c, d] = (len as u32).to_be_bytes();
    [channel as u8, a, b, c, d]
}

/// A whole frame as bytes, for small payloads. Large ones are better written as [`header`] and payload apart.
pub fn encode(channel: Channel, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + payload.len());
    bytes.extend_from_slice(&header(channel, payload.len()));
    bytes.extend_from_slice(payload);
    bytes
}

/// A control frame as bytes.
pub fn encode_control(control: &crate::Control) -> Vec<u8> {
    let json = serde_json::to_vec(control).expect("control messages have only string keys");
    encode(Channel::Control, &json)
}

/// Cuts a byte stream into frames.
///
/// Feed it with [`Decoder::extend`], take frames with [`Decoder::next_frame`] until it gives `None`, and repeat. It
/// holds at most what was fed and not yet taken.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    start: usize,
}

impl Decoder {
    /// An empty decoder.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes that were read.
    pub fn extend(&mut self, bytes: &[u8]) {
        if self.start == self.buffer.len() {
            self.buffer.clear();
            self.start = 0;
        } else if self.buffer.len() + bytes.len() > self.buffer.capacity() {
            // Move the unfinished frame to the front before the buffer would grow.
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Whether there is a whole frame.
    ///
    /// # Errors
    /// As [`Decoder::next_frame`].
    pub fn has_frame(&self) -> Result<bool, FrameError> {
        self.whole().map(|whole| whole.is_some())
    }

    /// The next whole frame, or `None` when more bytes are needed.
    ///
    /// # Errors
    /// [`FrameError`] when the stream is not of this framing; every later call fails in the same way.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, FrameError> {
        let Some((channel, len)) = self.whole()? else {
            return Ok(None);
        };
        let from = self.start + HEADER;
        self.start = from + len;
        Ok(Some(Frame {
            channel,
            payload: &self.buffer[from..from + len],
        }))
    }

    /// The channel and the length of the next frame, if that is there.
    fn whole(&self) -> Result<Option<(Channel, usize)>, FrameError> {
        let rest = &self.buffer[self.start..];
        let Some((&[channel, a, b, c, d], rest)) = rest.split_first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let channel = Channel::from_byte(channel).ok_or(FrameError::Channel(channel))?;
        let announced = u32::from_be_bytes([a, b, c, d]);
        let len = announced as usize;
        if len > MAX_PAYLOAD {
            return Err(FrameError::TooLong(announced));
        }
        Ok((rest.len() >= len).then_some((channel, len)))
    }

    /// Whether a part of a frame is held: an end of the stream now would be in the middle of one.
    pub fn is_mid_frame(&self) -> bool {
        self.start < self.buffer.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn channel() -> impl Strategy<Value = Channel> {
        prop::sample::select(vec![
            Channel::Stdin,
            Channel::Stdout,
            Channel::Stderr,
            Channel::Control,
        ])
    }

    fn drain(decoder: &mut Decoder, into: &mut Vec<(Channel, Vec<u8>)>) {
        while let Some(frame) = decoder.next_frame().unwrap() {
            into.push((frame.channel, frame.payload.to_vec()));
        }
    }

    proptest! {
        /// However the network cuts the bytes, the same frames come out.
        #[test]
        fn frames_survive_any_cutting(
            frames in prop::collection::vec((channel(), prop::collection::vec(any::<u8>(), 0..300)), 0..20),
            cut in 1_usize..64,
        ) {
            let bytes: Vec<u8> = frames.iter().flat_map(|(channel, payload)| encode(*channel, payload)).collect();
            let mut decoder = Decoder::new();
            let mut seen = Vec::new();
            for chunk in bytes.chunks(cut) {
                decoder.extend(chunk);
                drain(&mut decoder, &mut seen);
            }
            prop_assert_eq!(seen, frames);
            prop_assert!(!decoder.is_mid_frame());
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut decoder = Decoder::new();
            decoder.extend(&bytes);
            while let Ok(Some(_)) = decoder.next_frame() {}
        }
    }

    #[test]
    fn a_decoder_of_a_long_stream_stays_small() {
        let frame = encode(Channel::Stdout, &[7; 64 << 10]);
        let mut decoder = Decoder::new();
        for _ in 0..1000 {
            decoder.extend(&frame);
            assert!(decoder.next_frame().unwrap().is_some());
        }
        assert!(
            decoder.buffer.capacity() < 1 << 20,
            "{}",
            decoder.buffer.capacity()
        );
    }

    #[test]
    fn nonsense_is_refused() {
        let mut decoder = Decoder::new();
        decoder.extend(&[9, 0, 0, 0, 0]);
        assert_eq!(decoder.next_frame(), Err(FrameError::Channel(9)));
        let mut decoder = Decoder::new();
        decoder.extend(&[2, 0xff, 0, 0, 0]);
        assert_eq!(decoder.next_frame(), Err(FrameError::TooLong(0xff00_0000)));
    }
}
