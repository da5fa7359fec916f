//! The bytes of `handed_over_v1`: how a connection to an agent comes to a client.
//!
//! After the daemon's 101 the client sends one byte ([`READY`]), when it has read all of the answer: a descriptor that came with
//! the answer would be lost to who reads HTTP. Then the daemon sends a big-endian `u32` length and that many bytes, which the agent
//! had already sent, and closes. The connection comes as a descriptor (`SCM_RIGHTS`, unix(7)) with the first byte of the length.

/// What a client sends when it is ready to receive the descriptor. Any byte would do.
pub const READY: u8 = 0;

/// Bytes of the length.
pub const LENGTH: usize = 4;

/// More than an agent sends before it is asked.
pub const MAX_SENT: usize = 4 << 20;

/// The length is longer than an agent sends unasked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} bytes came with the agent's connection, more than the {MAX_SENT} allowed")]
pub struct TooMuch(u32);

/// What the daemon sends for what the agent had already sent.
///
/// # Errors
/// When that is more than a client takes.
pub fn encode(sent: &[u8]) -> Result<Vec<u8>, TooMuch> {
    let length = u32::try_from(sent.len()).unwrap_or(u32::MAX);
    let bytes = [&length.to_be_bytes(), sent].concat();
    decode_length(length.to_be_bytes()).map(|_| bytes)
}

/// How many bytes follow.
///
/// # Errors
/// When that is more than an agent sends unasked.
pub fn decode_length(bytes: [u8; LENGTH]) -> Result<usize, TooMuch> {
    let length = u32::from_be_bytes(bytes);
    let bounded = usize::try_from(length).ok().filter(|length| *length <= MAX_SENT);
    bounded.ok_or(TooMuch(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_read_and_bounded() {
        let bytes = encode(b"abc").unwrap();
        let (length, sent) = bytes.split_first_chunk().unwrap();
        assert_eq!((decode_length(*length), sent), (Ok(3), &b"abc"[..]));
        assert!(encode(&vec![0; MAX_SENT]).is_ok());
        assert!(encode(&vec![0; MAX_SENT + 1]).is_err());
        assert_eq!(decode_length([0xff; 4]), Err(TooMuch(u32::MAX)));
    }
}
