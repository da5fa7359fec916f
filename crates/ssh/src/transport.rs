//! The transport of RFC 4253: versions, packets, and keys that are exchanged at the beginning and again.
//!
//! ```text
//!  Version ─▶ First (KEXINIT, INIT, NEWKEYS) ─▶ Open ◀─▶ Again
//! ```
//!
//! While keys are exchanged again, what we would send waits.

mod exchange;

use crate::cipher::{self, Key};
use crate::kex::Agreed;
use crate::wire::Write;
use crate::{Error, HostKey, message};

/// What we say first.
const VERSION: &str = "SSH-2.0-banger";

/// The longest line of a client before its packets (RFC 4253, section 4.2).
const MAX_VERSION: usize = 255;

/// The longest packet of a client that has not proved who it is; its first list of methods is shorter.
const MAX_PACKET: usize = 40 << 10;

/// The longest packet of one that has. It keeps to the 32 KiB of data that we name for channels, but a request may be longer
/// than what is done, and is then refused by itself: that no command line of Linux ends the connection.
const MAX_REQUEST: usize = 4 << 20;

/// Bytes of messages that wait for new keys. A client that sends its KEXINIT late is answered by no more.
const MAX_HELD: usize = 1 << 20;

/// When keys are exchanged again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Bytes in one direction (RFC 4344, section 3.2, has this for such ciphers).
    pub(crate) bytes: u64,
    /// Packets, whose numbers are part of the encryption and must not come again.
    pub(crate) packets: u64,
}

impl Limits {
    const USUAL: Self = Self {
        bytes: 4 << 30,
        packets: 1 << 30,
    };

    /// A client that goes on with its old keys until here is not listened to any longer.
    const fn last(self) -> Self {
        Self {
            bytes: self.bytes.saturating_mul(2),
            packets: self.packets.saturating_mul(2),
        }
    }
}

/// How far a key exchange is.
enum Exchange {
    /// Our KEXINIT is sent, theirs is not here.
    Proposed,
    /// Both are; their key is next.
    Agreed {
        agreed: Agreed,
        theirs: Vec<u8>,
        skip: bool,
    },
    /// We seal with the new key; theirs follows their NEWKEYS.
    Keyed { opening: Key },
}

/// Both directions of a connection.
pub(crate) struct Transport {
    host: HostKey,
    their_version: Option<Vec<u8>>,
    our_init: Vec<u8>,
    exchange: Option<Exchange>,
    session: Option<Vec<u8>>,
    strict: bool,
    incoming: Direction,
    outgoing: Direction,
    /// Bytes that came; those from `taken` on are not understood yet.
    input: Vec<u8>,
    taken: usize,
    output: Vec<u8>,
    /// Messages that wait for new keys, and their bytes.
    held: Vec<Vec<u8>>,
    held_bytes: usize,
    limits: Limits,
    /// The longest packet that is taken now.
    longest: usize,
    /// Buffers of messages that are over. The C library of a static program gives memory of this size back to the system
    /// each time it is freed, which costs more than all else that is done with a message.
    spare: Vec<Vec<u8>>,
}

/// Buffers that are kept.
const MOST_SPARE: usize = 16;

struct Direction {
    key: Key,
    sequence: u32,
    bytes: u64,
    packets: u64,
}

impl Direction {
    const fn new() -> Self {
        Self {
            key: Key::None,
            sequence: 0,
            bytes: 0,
            packets: 0,
        }
    }

    fn count(&mut self, bytes: usize) {
        self.sequence = self.sequence.wrapping_add(1);
        self.packets += 1;
        self.bytes += bytes as u64;
    }

    fn renew(&mut self, key: Key, strict: bool) {
        self.key = key;
        self.bytes = 0;
        self.packets = 0;
        if strict {
            self.sequence = 0;
        }
    }

    const fn is_worn(&self, limits: Limits) -> bool {
        self.bytes > limits.bytes || self.packets > limits.packets
    }
}

impl Transport {
    pub(crate) fn new(host: HostKey) -> Result<Self, Error> {
        let mut transport = Self {
            host,
            their_version: None,
            our_init: Vec::new(),
            exchange: None,
            session: None,
            strict: false,
            incoming: Direction::new(),
            outgoing: Direction::new(),
            input: Vec::new(),
            taken: 0,
            output: format!("{VERSION}\r\n").into_bytes(),
            held: Vec::new(),
            held_bytes: 0,
            limits: Limits::USUAL,
            longest: MAX_PACKET,
            spare: Vec::new(),
        };
        transport.propose()?;
        Ok(transport)
    }

    /// Adds bytes that came.
    pub(crate) fn receive(&mut self, bytes: &[u8]) {
        self.input.drain(..self.taken);
        self.taken = 0;
        self.input.extend_from_slice(bytes);
    }

    /// Takes a buffer back.
    pub(crate) fn recycle(&mut self, mut buffer: Vec<u8>) {
        if self.spare.len() < MOST_SPARE {
            buffer.clear();
            self.spare.push(buffer);
        }
    }

    /// An empty buffer.
    pub(crate) fn buffer(&mut self) -> Vec<u8> {
        self.spare.pop().unwrap_or_default()
    }

    /// What is to be sent.
    pub(crate) fn output(&self) -> &[u8] {
        &self.output
    }

    /// So many bytes of the output were sent.
    pub(crate) fn sent(&mut self, count: usize) {
        self.output.drain(..count.min(self.output.len()));
    }

    /// The session's name, once there are keys.
    pub(crate) fn session(&self) -> Result<&[u8], Error> {
        self.session.as_deref().ok_or(Error::KeyExchange)
    }

    /// Whether messages wait for new keys.
    pub(crate) const fn is_exchanging(&self) -> bool {
        self.exchange.is_some()
    }

    /// When keys are exchanged again, from now on.
    pub(crate) const fn renew_after(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// The client has proved who it is: its packets may be longer.
    pub(crate) const fn trust(&mut self) {
        self.longest = MAX_REQUEST;
    }

    /// Sends a message, once it may be.
    pub(crate) fn send(&mut self, payload: &[u8]) -> Result<(), Error> {
        if self.exchange.is_some() {
            // What would be too much is noted, and ends the connection when more comes.
            self.held_bytes += payload.len() + size_of::<Vec<u8>>();
            if self.held_bytes <= MAX_HELD {
                self.held.push(payload.to_vec());
            }
            return Ok(());
        }
        self.seal(payload)?;
        if self.outgoing.is_worn(self.limits) {
            self.propose()?;
        }
        Ok(())
    }

    /// Keeps to the bounds of what comes: keys are exchanged again in time, and a client that does not take part in it, or
    /// lets answers pile up meanwhile, is not listened to.
    fn keep_bounds(&mut self) -> Result<(), Error> {
        if self.held_bytes > MAX_HELD {
            return Err(Error::Flood);
        }
        if self.incoming.is_worn(self.limits) && self.exchange.is_none() {
            self.propose()?;
        }
        match self.incoming.is_worn(self.limits.last()) {
            true => Err(Error::KeyExchange),
            false => Ok(()),
        }
    }

    /// The number of the packet that came last.
    pub(crate) const fn last_received(&self) -> u32 {
        self.incoming.sequence.wrapping_sub(1)
    }

    /// Tells the client that this is the end.
    pub(crate) fn disconnect(&mut self, reason: u32, why: &str) {
        let mut payload = vec![message::DISCONNECT];
        payload.put_number(reason);
        payload.put_string(why.as_bytes());
        payload.put_string(b"");
        // If it cannot be said, the connection's end says it.
        let _ = self.seal(&payload);
    }

    /// The next message that is for others than the transport; none when bytes are missing.
    pub(crate) fn next(&mut self) -> Result<Option<Vec<u8>>, Error> {
        if self.their_version.is_none() && !self.take_version()? {
            return Ok(None);
        }
        while let Some(payload) = self.open()? {
            self.keep_bounds()?;
            if let Some(payload) = self.hear(payload)? {
                return Ok(Some(payload));
            }
        }
        Ok(None)
    }

    fn take_version(&mut self) -> Result<bool, Error> {
        let Some(end) = self.input.iter().position(|&byte| byte == b'\n') else {
            return if self.input.len() > MAX_VERSION {
                Err(Error::Version)
            } else {
                Ok(false)
            };
        };
        let line = &self.input[..end];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.len() > MAX_VERSION || !line.starts_with(b"SSH-2.0-") {
            return Err(Error::Version);
        }
        self.their_version = Some(line.to_vec());
        self.taken = end + 1;
        Ok(true)
    }

    fn seal(&mut self, payload: &[u8]) -> Result<(), Error> {
        let before = self.output.len();
        let direction = &mut self.outgoing;
        direction
            .key
            .seal(direction.sequence, payload, &mut self.output)?;
        direction.count(self.output.len() - before);
        Ok(())
    }

    fn open(&mut self) -> Result<Option<Vec<u8>>, Error> {
        let rest = &mut self.input[self.taken..];
        let Some(first) = rest.first_chunk::<{ cipher::LENGTH }>() else {
            return Ok(None);
        };
        let direction = &mut self.incoming;
        let size = direction.key.size(direction.sequence, *first);
        if size > self.longest {
            return Err(Error::TooLong);
        }
        let Some(packet) = rest.get_mut(..size) else {
            return Ok(None);
        };
        let opened = direction.key.open(direction.sequence, packet)?;
        let mut payload = self.spare.pop().unwrap_or_default();
        payload.extend_from_slice(opened);
        self.taken += size;
        direction.count(size);
        Ok(Some(payload))
    }

    /// Takes what is the transport's; gives back what is not.
    fn hear(&mut self, payload: Vec<u8>) -> Result<Option<Vec<u8>>, Error> {
        let kind = *payload.first().ok_or(Error::Malformed)?;
        let bare = matches!(self.incoming.key, Key::None);
        match kind {
            message::KEXINIT => self.hear_proposal(payload)?,
            message::KEX_ECDH_INIT => self.hear_key(&payload)?,
            message::NEWKEYS => self.hear_new_keys()?,
            message::DISCONNECT => return Err(Error::Left),
            // Strict means that nothing else comes before the first keys: nobody can take anything away unseen.
            message::IGNORE | message::DEBUG | message::UNIMPLEMENTED if !(bare && self.strict) => {}
            message::EXT_INFO if !bare => {}
            _ if bare => return Err(Error::Unexpected(kind)),
            // After their KEXINIT, clients send nothing else until NEWKEYS (RFC 4253, section 7.1).
            _ if matches!(
                self.exchange,
                Some(Exchange::Agreed { .. } | Exchange::Keyed { .. })
            ) =>
            {
                return Err(Error::Unexpected(kind));
            }
            _ => return Ok(Some(payload)),
        }
        Ok(None)
    }
}
