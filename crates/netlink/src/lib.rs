//! Netlink messages as bytes (netlink(7); the kernel's `include/uapi/linux/netlink.h`): a header, a fixed body, and then
//! attributes. Numbers are in the machine's byte order, and everything begins at a multiple of four bytes.
//!
//! What the guest agent and the root helper say in them is theirs; sockets are too.

pub mod log;
pub mod route;

/// `struct nlmsghdr`: length, type, flags, sequence number, sender.
const HEADER: usize = 16;

/// `struct nlattr`: length and type.
const ATTRIBUTE: usize = 4;

/// A message to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message(Vec<u8>);

impl Message {
    /// A message of this type (`RTM_…`), with `flags` (`NLM_F_…`) and a fixed body of whole words.
    pub fn new(kind: u16, flags: i32, body: &[u8]) -> Self {
        let mut bytes = vec![0; HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        // The flags are a word of sixteen bits, though the C library's names for them have more.
        bytes[6..8].copy_from_slice(&(flags as u16).to_ne_bytes());
        bytes.extend(body);
        Self(bytes)
    }

    /// The message with one more attribute, of at most some hundred bytes.
    pub fn with(mut self, kind: u16, value: &[u8]) -> Self {
        self.0.extend(attribute(kind, value));
        self
    }

    /// The message's bytes under this number, which the kernel's answer to it bears.
    pub fn numbered(mut self, sequence: u32) -> Vec<u8> {
        let length = self.0.len() as u32;
        self.0[0..4].copy_from_slice(&length.to_ne_bytes());
        self.0[8..12].copy_from_slice(&sequence.to_ne_bytes());
        self.0
    }
}

/// An attribute of at most some hundred bytes, to be the value of another.
pub fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = (ATTRIBUTE + value.len()) as u16;
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend(value);
    bytes.resize(aligned(bytes.len()), 0);
    bytes
}

/// A message that came.
#[derive(Debug, PartialEq, Eq)]
pub struct Received<'a> {
    /// Its type.
    pub kind: u16,
    /// The number of the message that it answers.
    pub sequence: u32,
    /// Who sent that message: the port of a socket.
    pub port: u32,
    /// The fixed body and the attributes.
    pub body: &'a [u8],
}

/// The messages in what one receive gave. What is cut off is left out.
pub fn received(bytes: &[u8]) -> impl Iterator<Item = Received<'_>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let length = u32::from_ne_bytes(array(rest, 0)?);
        let message = take(&mut rest, length as usize, HEADER)?;
        Some(Received {
            kind: u16::from_ne_bytes(array(message, 4)?),
            sequence: u32::from_ne_bytes(array(message, 8)?),
            port: u32::from_ne_bytes(array(message, 12)?),
            body: &message[HEADER..],
        })
    })
}

/// The attributes in `bytes`, by type.
pub fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let length = u16::from_ne_bytes(array(rest, 0)?);
        let attribute = take(&mut rest, length.into(), ATTRIBUTE)?;
        // The two high bits say how the value is made, not what it is.
        let kind = u16::from_ne_bytes(array(attribute, 2)?) & 0x3fff;
        Some((kind, &attribute[ATTRIBUTE..]))
    })
}

/// The `N` bytes at `at`, if there are so many.
pub fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

/// The first `length` bytes, if there are so many and they hold a header; what follows their padding is left.
pub(crate) fn take<'a>(rest: &mut &'a [u8], length: usize, header: usize) -> Option<&'a [u8]> {
    let taken = rest.get(..length).filter(|_| length >= header)?;
    *rest = rest.get(aligned(length)..).unwrap_or_default();
    Some(taken)
}

const fn aligned(length: usize) -> usize {
    length.next_multiple_of(4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_its_header_its_body_and_padded_attributes() {
        let bytes = Message::new(16, 5, &[9; 4])
            .with(3, b"eth0\0")
            .with(4, &[1, 2, 3, 4])
            .numbered(7);
        let expected: [&[u8]; 8] = [
            &40_u32.to_ne_bytes(),
            &16_u16.to_ne_bytes(),
            &5_u16.to_ne_bytes(),
            &7_u32.to_ne_bytes(),
            &[0; 4],
            &[9; 4],
            &[
                &9_u16.to_ne_bytes()[..],
                &3_u16.to_ne_bytes()[..],
                b"eth0\0\0\0\0",
            ]
            .concat()[..12],
            &[&8_u16.to_ne_bytes()[..], &4_u16.to_ne_bytes()[..], &[1, 2, 3, 4]].concat(),
        ];
        assert_eq!(bytes, expected.concat());
    }

    #[test]
    fn what_was_written_reads_back() {
        let two = [
            Message::new(16, 0, &[])
                .with(3, b"lo\0")
                .with(4, &[5; 4])
                .numbered(1),
            Message::new(3, 0, &[]).numbered(2),
        ]
        .concat();
        let found: Vec<_> = received(&two).collect();
        assert_eq!(
            found.iter().map(|m| (m.kind, m.sequence)).collect::<Vec<_>>(),
            [(16, 1), (3, 2)]
        );
        let attributes: Vec<_> = attributes(found[0].body).collect();
        assert_eq!(attributes, [(3, &b"lo\0"[..]), (4, &[5; 4][..])]);
    }

    #[test]
    fn what_is_cut_off_ends_it() {
        let bytes = Message::new(16, 0, &[0; 16]).with(3, b"eth0\0").numbered(1);
        for length in 0..bytes.len() {
            assert_eq!(received(&bytes[..length]).count(), 0);
        }
        let inner = &bytes[32..];
        assert_eq!(attributes(&inner[..5]).count(), 0);
        // A length that could never end.
        assert_eq!(received(&[0; 32]).count(), 0);
        assert_eq!(attributes(&[0; 32]).count(), 0);
    }
}
