//! What a client asks for, and what it is answered.

use crate::ChannelId;

/// Something that happened on a connection. Events are to be taken in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The client has proved that it may be this user.
    Authenticated {
        /// The user.
        user: String,
    },
    /// The client wants a channel: [`crate::Server::confirm`] or [`crate::Server::refuse`] it.
    Open {
        /// The channel.
        channel: ChannelId,
        /// To what.
        open: Open,
    },
    /// The client wants something of a channel: [`crate::Server::answer`] it, at once.
    Request {
        /// The channel.
        channel: ChannelId,
        /// What.
        request: Request,
    },
    /// The client wants us to listen, or not to any more: [`crate::Server::answer_listen`] it, at once.
    Listen {
        /// Where.
        at: Listen,
        /// Whether it shall begin, else end.
        begin: bool,
    },
    /// Bytes came: say when they were [`crate::Server::consumed`].
    Data {
        /// The channel.
        channel: ChannelId,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// The client sends nothing more on this channel.
    Eof {
        /// The channel.
        channel: ChannelId,
    },
    /// The channel can take more, or is open now if we opened it.
    Ready {
        /// The channel.
        channel: ChannelId,
    },
    /// The channel is gone. A channel that we opened may have been refused.
    Closed {
        /// The channel.
        channel: ChannelId,
    },
}

/// What a client wants a channel to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Open {
    /// A command, or a subsystem.
    Session,
    /// A TCP port that we reach.
    Tcp {
        /// Its host.
        host: String,
        /// The port.
        port: u16,
    },
    /// A Unix socket that we reach.
    Unix {
        /// Its path.
        path: Vec<u8>,
    },
}

/// What we want a channel to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opening {
    /// Who connected to a port that we listen at for the client.
    Tcp {
        /// The address as the client asked for it.
        address: String,
        /// The port.
        port: u16,
        /// Who connected: the address.
        from_address: String,
        /// Who connected: the port.
        from_port: u16,
    },
    /// Who connected to a socket that we listen at for the client.
    Unix {
        /// The path as the client asked for it.
        path: Vec<u8>,
    },
    /// The client's SSH agent.
    Agent,
}

/// Where we listen for a client.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Listen {
    /// At a TCP port.
    Tcp {
        /// The address, in the words of RFC 4254, section 7.1.
        address: String,
        /// The port; 0 for any.
        port: u16,
    },
    /// At a Unix socket.
    Unix {
        /// Its path.
        path: Vec<u8>,
    },
}

/// What a client wants of a session's channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// A terminal for what will run.
    Terminal(Terminal),
    /// A variable for what will run.
    Variable {
        /// Its name.
        name: String,
        /// Its value.
        value: String,
    },
    /// The client's SSH agent for what will run.
    Agent,
    /// The user's shell.
    Shell,
    /// A command for the user's shell.
    Command(Vec<u8>),
    /// A subsystem, such as `sftp`.
    Subsystem(String),
    /// The terminal has another size.
    Resize {
        /// Characters in a line.
        columns: u32,
        /// Lines.
        rows: u32,
    },
    /// A signal for what runs, by its name without `SIG`.
    Signal(String),
    /// Something that nobody knows: to be answered by false, in its turn.
    Unknown,
}

/// A terminal of a client's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terminal {
    /// The value of `TERM`.
    pub kind: String,
    /// Characters in a line.
    pub columns: u32,
    /// Lines.
    pub rows: u32,
    /// Its modes, by their numbers in RFC 4254, section 8.
    pub modes: Vec<(u8, u32)>,
}

/// Which stream of a channel bytes are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Its data; standard output of a command.
    Data,
    /// Standard error of a command.
    Stderr,
}

/// Why a channel is not opened (RFC 4254, section 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It must not be.
    Prohibited,
    /// There is nothing, or it refuses.
    Connect,
    /// Nobody knows what it is.
    Unknown,
    /// There are too many.
    Shortage,
}

impl Refusal {
    pub(crate) const fn number(self) -> u32 {
        match self {
            Self::Prohibited => 1,
            Self::Connect => 2,
            Self::Unknown => 3,
            Self::Shortage => 4,
        }
    }
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// With this code.
    Code(u32),
    /// By this signal, by its name without `SIG`.
    Signal(&'static str),
}
