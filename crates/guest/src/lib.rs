//! What the host and the guest agent say to each other, sans I/O. `docs/protocol.md` has it for other clients.
//!
//! The agent serves HTTP/1.1 on vsock port [`AGENT_PORT`]. It speaks first: when its listener is bound it connects to
//! the host's port [`HELLO_PORT`] and sends one [`Hello`] as a line of JSON; only then does the host dial. (A host
//! that dials earlier can wedge QEMU's vsock device for good.) The host answers by `POST` [`routes::CONFIGURE`] with
//! a [`Configure`]; the response to that request is the pushed [`Ready`].
//!
//! | route | body in | body out |
//! |---|---|---|
//! | `GET /v1/health` | | [`Health`] |
//! | `POST /v1/configure` | [`Configure`] | [`Ready`] or [`Failure`] |
//! | `POST /v1/exec` with `Upgrade: stdio_mux_v1` | [`Exec`] | 101, then frames (see [`frame`]) |
//! | `PUT /v1/files` with `Upgrade: stdio_mux_v1` | query [`PutFiles`] | 101, then frames; see [`files`] |
//! | `GET /v1/files` with `Upgrade: stdio_mux_v1` | query [`GetFiles`] | 101, then frames; see [`files`] |
//! | `GET /v1/files/list` with `Upgrade: stdio_mux_v1` | query [`OfDirectory`] | 101, then frames; see [`files`] |
//! | `POST /v1/files/remove` | query [`OfDirectory`] | [`FilesDone`] |
//! | `POST /v1/workspace/look` | [`workspace::Look`] | [`workspace::Seen`] |
//! | `PUT /v1/workspace` with `Upgrade: stdio_mux_v1` | query [`workspace::PutWorkspace`] | 101, then frames; see [`workspace_files`] |
//! | `POST /v1/workspace/protect` | [`workspace::Protect`] | |
//! | `PUT /v1/secrets/NAME` with the value as body | query [`PutSecret`] | ; see [`secret`] |
//! | `POST /v1/freeze` | | a line, then nothing: the VM's disk is frozen until the client leaves, or for a minute |
//! | `POST /v1/shutdown` | [`Shutdown`] | 202, then the machine goes away |
//! | `GET /v1/events` | | lines of [`Event`], the current state first |
//! | `GET /v1/ports` | query [`PortsQuery`] | list of [`Listener`] |
//! | `POST /v1/forward/connect` with `Upgrade: tunnel_v1` | [`Connect`] | 101, then a [`tunnel`] to a port of the guest |
//! | `POST /v1/forward/listen` with `Upgrade: tunnel_v1` | [`Listen`] | 101, then a token a connection; see [`forward`] |
//! | `POST /v1/ssh` with `Upgrade: ssh_v1` | [`Ssh`] | 101, then SSH (RFC 4253), the server first |
//! | `POST /v1/forward/take` with `Upgrade: tunnel_v1` | [`Take`] | 101, then a [`tunnel`] to that connection |
//! | `/v1/sessions…` | see [`session`] | |
//!
//! Every request of the host says what its clock is, by the header [`CLOCK_HEADER`]; a guest whose clock is another sets it.
//! Errors are a [`Failure`] with a status of 4xx or 5xx.

pub mod configure;
pub mod event;
pub mod exec;
pub mod files;
pub mod forward;
pub mod frame;
pub mod handover;
pub mod payload;
pub mod port;
pub mod query;
pub mod secret;
pub mod session;
mod session_output;
pub mod sockets;
pub mod ssh;
pub mod tunnel;
pub mod workspace;
pub mod workspace_files;

pub use configure::{
    CLOCK_HEADER, Clock, Configure, Disks, Handover, Health, Hello, InitKind, Layer, Network, Ready, Root,
    Shutdown,
};
pub use event::{Event, InitState};
pub use exec::{Control, Exec, ExitStatus, TerminalSize, Tty};
pub use files::{FilesDone, FilesEnd, GetFiles, Listed, ListedKind, OfDirectory, PutFiles};
pub use forward::{Connect, Listen, Take, Transport};
pub use frame::{Channel, Decoder, Frame, FrameError};
pub use payload::{PayloadReader, PayloadWriter};
pub use port::{Http, Listener, PortsQuery, Process};
pub use secret::{InvalidSecretName, PutSecret, SecretName};
pub use session::{
    Restart, Session, SessionInput, SessionSignal, SessionStart, SessionState, SessionStop, Usage,
};
pub use session_output::{Extent, OutputStream, SessionOutput, SessionStream, Writing};
pub use ssh::Ssh;

use serde::{Deserialize, Serialize};

/// The version of this protocol. Host and guest refuse each other when theirs differ.
pub const PROTOCOL: u32 = 1;

/// The vsock port on which the agent serves.
pub const AGENT_PORT: u32 = 1024;

/// The vsock port of the host (CID 2) on which the guest says [`Hello`].
pub const HELLO_PORT: u32 = 1025;

/// The token of the `Upgrade` header for framed streams.
pub const STDIO_MUX: &str = "stdio_mux_v1";

/// The token of the `Upgrade` header by which a daemon gives a client a connection to an agent: see [`handover`].
pub const HANDED_OVER: &str = "handed_over_v1";

/// The token of the `Upgrade` header for tunnels.
pub const TUNNEL: &str = "tunnel_v1";

/// The token of the `Upgrade` header for SSH.
pub const SSH: &str = "ssh_v1";

/// Paths of the agent's routes.
pub mod routes {
    /// Liveness and identity.
    pub const HEALTH: &str = "/v1/health";
    /// The one configuration of a boot.
    pub const CONFIGURE: &str = "/v1/configure";
    /// Runs a command.
    pub const EXEC: &str = "/v1/exec";
    /// Writes and reads files and trees.
    pub const FILES: &str = "/v1/files";
    /// What is in a directory.
    pub const FILES_LIST: &str = "/v1/files/list";
    /// Removes what is in a directory.
    pub const FILES_REMOVE: &str = "/v1/files/remove";
    /// What the guest has of a workspace.
    pub const WORKSPACE_LOOK: &str = "/v1/workspace/look";
    /// Changes a workspace: [`super::STDIO_MUX`], entries on standard input, and [`super::FilesEnd`] in the end.
    pub const WORKSPACE: &str = "/v1/workspace";
    /// Makes a workspace read-only.
    pub const WORKSPACE_PROTECT: &str = "/v1/workspace/protect";
    /// Secrets; a name follows.
    pub const SECRETS: &str = "/v1/secrets/";
    /// Brings the VM's disk to rest, so that it can be copied.
    pub const FREEZE: &str = "/v1/freeze";
    /// Powers the guest off.
    pub const SHUTDOWN: &str = "/v1/shutdown";
    /// What happens in the guest, as it happens.
    pub const EVENTS: &str = "/v1/events";
    /// What listens in the guest.
    pub const PORTS: &str = "/v1/ports";
    /// A tunnel to a port of the guest.
    pub const CONNECT: &str = "/v1/forward/connect";
    /// A port of the guest that the host serves.
    pub const LISTEN: &str = "/v1/forward/listen";
    /// Sessions; all their routes begin so.
    pub const SESSIONS: &str = "/v1/sessions";
    /// A tunnel to a connection that such a port got.
    pub const TAKE: &str = "/v1/forward/take";
    /// An SSH server.
    pub const SSH: &str = "/v1/ssh";
}

/// Why the agent could not do what was asked. The agent names operation and object; nothing is swallowed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[error("{message}")]
pub struct Failure {
    /// What failed, in one sentence.
    pub message: String,
    /// Deeper causes, outermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
    /// Its kind, where one is told apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<FailureCode>,
}

impl Failure {
    /// A failure that has no deeper cause.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            causes: Vec::new(),
            code: None,
        }
    }
}

/// Kinds of failures that a client has advice for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum FailureCode {
    /// Another client writes to the session.
    WrittenByAnother,
    /// A kind that this side does not know.
    #[serde(other)]
    Unknown,
}
