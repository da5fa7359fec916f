//! The server's side of SSH, sans I/O: bytes go in and out of a [`Server`], [`Event`]s come out, answers go in.
//!
//! Keys are ed25519, key exchange is X25519 with ML-KEM-768 beside it, ciphers are authenticated; passwords do not exist.
//! All cryptography is `ring`'s, but for ML-KEM, which `ring` does not have. What a channel may send is what its reader has taken ([`Server::consumed`]): a command that reads nothing
//! holds back its own client and nothing else, and two pipes that wait for each other cannot stop a connection. That, and
//! bounds on all that a client can make grow, is why this exists: the crate `russh` grants a channel's window when data
//! arrives, and stops the whole connection when nobody takes it. `ssh HOST cat` with 200 MB and a reader that began after
//! three seconds stopped for ever at 2 MB there.
//!
//! | module | holds | of |
//! |---|---|---|
//! | `transport` | versions, packets, keys exchanged once and again | RFC 4253 |
//! | `kex`, `method`, `cipher`, `keys` | the methods | RFC 8731, 8709, 5647; draft-ietf-sshm-mlkem-hybrid-kex |
//! | `server` | users, channels, windows | RFC 4252, 4254 |

mod auth;
mod channel;
mod cipher;
mod event;
mod kex;
mod keys;
mod message;
mod method;
mod request;
mod server;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod transport;
pub mod wire;

pub use channel::{ChannelId, MAX_CHANNELS, WINDOW};
pub use event::{Event, Exit, Listen, Open, Opening, Refusal, Request, Stream, Terminal};
pub use keys::{HostKey, PublicKey};
pub use server::{Server, Users};

/// What ends a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The client is none of SSH 2.
    #[error("the client does not speak SSH 2.0")]
    Version,
    /// A packet beyond all bounds.
    #[error("a packet is too long")]
    TooLong,
    /// A packet that is not its sender's.
    #[error("a packet is corrupt")]
    Corrupt,
    /// A message that is cut short.
    #[error("a message is malformed")]
    Malformed,
    /// There is no method that both sides can.
    #[error("client and server have no {0} in common")]
    NothingInCommon(&'static str),
    /// A message where it must not be.
    #[error("message {0} is not expected here")]
    Unexpected(u8),
    /// The keys could not be exchanged.
    #[error("the key exchange failed")]
    KeyExchange,
    /// More data than its window allows.
    #[error("a channel got more data than its window allows")]
    Window,
    /// More answers than are kept while keys are exchanged.
    #[error("the client asks for too much while keys are exchanged")]
    Flood,
    /// Too many keys that are none of this user's.
    #[error("too many authentication failures")]
    Attempts,
    /// The client said goodbye.
    #[error("the client disconnected")]
    Left,
}

impl Error {
    /// The reason for the client (RFC 4253, section 11.1).
    const fn reason(self) -> u32 {
        match self {
            Self::Version => 8,
            Self::NothingInCommon(_) | Self::KeyExchange => 3,
            Self::Corrupt => 5,
            Self::Attempts => 14,
            Self::TooLong | Self::Malformed | Self::Unexpected(_) | Self::Window | Self::Flood => 2,
            Self::Left => 11,
        }
    }
}
