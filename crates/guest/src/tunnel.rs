//! The framing `tunnel_v1`: one connection, or one flow of datagrams, in both directions.
//!
//! | kind | payload | means |
//! |---|---|---|
//! | 0 | bytes, or one datagram | data |
//! | 1 | none | this direction has ended; the other goes on |
//!
//! A frame is its kind in one byte, the payload's length in three (big-endian), and the payload. A stream of bytes alone
//! would not do: Firecracker's vsock knows no connection of which one direction has ended. A tunnel that is closed before
//! both directions have ended is a connection that broke.
//!
//! The guest closes a tunnel after the host did, also when both directions have ended: what it wrote may be on its way.

/// Bytes before a payload.
pub const HEADER: usize = 4;

/// The most bytes of a payload: a datagram fits.
pub const MAX_PAYLOAD: usize = 0xff_ff_ff;

const DATA: u8 = 0;
const END: u8 = 1;

/// This direction has ended.
pub const END_FRAME: [u8; HEADER] = [END, 0, 0, 0];

/// The header of `len` bytes of data.
///
/// # Panics
/// When there are more than [`MAX_PAYLOAD`].
pub fn header(len: usize) -> [u8; HEADER] {
    assert!(len <= MAX_PAYLOAD, "a frame carries at most {MAX_PAYLOAD} bytes");
    let [_, a, b, c] = (len as u32).to_be_bytes();
    [DATA, a, b, c]
}

/// A tunnel that is none. It cannot be resynchronised: close it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("invalid tunnel frame: kind {kind}, length {len}")]
pub struct TunnelError {
    kind: u8,
    len: usize,
}

/// A part of what came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Some of a frame's data. `last` when its frame is over.
    Data {
        /// The bytes; none at all for an empty datagram.
        bytes: &'a [u8],
        /// Whether the frame ends with them.
        last: bool,
    },
    /// The direction has ended.
    End,
}

/// Cuts bytes into pieces, without holding any of them but the beginning of a header.
#[derive(Debug, Clone, Default)]
pub struct Cutter {
    header: [u8; HEADER],
    /// Bytes of the header that are there.
    have: usize,
    /// Bytes of data that the frame still has.
    rest: usize,
}

impl Cutter {
    /// The next piece at the beginning of `bytes`, which then begin after it; nothing when they are used up.
    ///
    /// # Errors
    /// [`TunnelError`] when what came is no tunnel.
    pub fn cut<'a>(&mut self, bytes: &mut &'a [u8]) -> Result<Option<Piece<'a>>, TunnelError> {
        if self.rest > 0 {
            return Ok(self.data(bytes));
        }
        let (head, after) = bytes.split_at(bytes.len().min(HEADER - self.have));
        self.header[self.have..self.have + head.len()].copy_from_slice(head);
        self.have += head.len();
        *bytes = after;
        if self.have < HEADER {
            return Ok(None);
        }
        self.have = 0;
        let [kind, a, b, c] = self.header;
        let len = u32::from_be_bytes([0, a, b, c]) as usize;
        match (kind, len) {
            (DATA, 0) => Ok(Some(Piece::Data {
                bytes: &[],
                last: true,
            })),
            (DATA, len) => {
                self.rest = len;
                Ok(self.data(bytes))
            }
            (END, 0) => Ok(Some(Piece::End)),
            (kind, len) => Err(TunnelError { kind, len }),
        }
    }

    fn data<'a>(&mut self, bytes: &mut &'a [u8]) -> Option<Piece<'a>> {
        if bytes.is_empty() {
            return None;
        }
        let (data, after) = bytes.split_at(bytes.len().min(self.rest));
        *bytes = after;
        self.rest -= data.len();
        let last = self.rest == 0;
        Some(Piece::Data { bytes: data, last })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, Clone, PartialEq)]
    enum Frame {
        Data(Vec<u8>),
        End,
    }

    fn frames() -> impl Strategy<Value = Vec<Frame>> {
        prop::collection::vec(
            prop_oneof![
                8 => prop::collection::vec(any::<u8>(), 0..300).prop_map(Frame::Data),
                1 => Just(Frame::End),
            ],
            0..20,
        )
    }

    fn encoded(frames: &[Frame]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for frame in frames {
            match frame {
                Frame::Data(data) => {
                    bytes.extend(header(data.len()));
                    bytes.extend(data);
                }
                Frame::End => bytes.extend(END_FRAME),
            }
        }
        bytes
    }

    proptest! {
        /// However the network cuts the bytes, the same frames come out.
        #[test]
        fn frames_survive_any_cutting(frames in frames(), size in 1_usize..64) {
            let (mut cutter, mut seen, mut open) = (Cutter::default(), Vec::new(), Vec::new());
            for mut chunk in encoded(&frames).chunks(size) {
                while let Some(piece) = cutter.cut(&mut chunk).unwrap() {
                    match piece {
                        Piece::Data { bytes, last } => {
                            open.extend_from_slice(bytes);
                            if last {
                                seen.push(Frame::Data(std::mem::take(&mut open)));
                            }
                        }
                        Piece::End => seen.push(Frame::End),
                    }
                }
                prop_assert!(chunk.is_empty());
            }
            prop_assert_eq!(seen, frames);
        }

        #[test]
        fn no_bytes_panic_or_loop(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let (mut cutter, mut rest) = (Cutter::default(), &bytes[..]);
            while let Ok(Some(_)) = cutter.cut(&mut rest) {}
        }
    }

    #[test]
    fn what_is_no_frame_is_told() {
        let mut bytes: &[u8] = &[9, 0, 0, 1];
        let told = Cutter::default().cut(&mut bytes).unwrap_err().to_string();
        assert_eq!(told, "invalid tunnel frame: kind 9, length 1");
    }
}
