//! The bytes before each piece of output in a segment.

use banger_guest_api::OutputStream;

/// How many there are.
pub(super) const HEADER: usize = 13;

/// What they say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// Which stream it was written to.
    pub(super) stream: OutputStream,
    /// Bytes that follow.
    pub(super) len: u32,
    /// When it was written, in microseconds since 1970.
    pub(super) time_us: u64,
}

impl Header {
    pub(super) fn encode(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[0] = match self.stream {
            OutputStream::Stdout => 1,
            OutputStream::Stderr => 2,
        };
        bytes[1..5].copy_from_slice(&self.len.to_be_bytes());
        bytes[5..].copy_from_slice(&self.time_us.to_be_bytes());
        bytes
    }

    /// Nothing when these bytes are no header: the disk was left in the middle of a write.
    pub(super) fn decode(bytes: &[u8; HEADER]) -> Option<Self> {
        let [stream, a, b, c, d, time @ ..] = *bytes;
        Some(Self {
            stream: match stream {
                1 => OutputStream::Stdout,
                2 => OutputStream::Stderr,
                _ => return None,
            },
            len: u32::from_be_bytes([a, b, c, d]),
            time_us: u64::from_be_bytes(time),
        })
    }
}
