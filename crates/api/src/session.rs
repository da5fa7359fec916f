//! Sessions over the API: commands of a guest that outlive whoever started them.

use banger_guest_api::{self as guest, ExitStatus};
use serde::{Deserialize, Serialize};

/// The name of the session that prepares a checkout: its tools, and the commands of its repository's configuration.
pub const BOOTSTRAP: &str = "bootstrap";

/// A session as it is now, or was at its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct VmSession {
    /// Its name; no other of its VM has it.
    pub name: String,
    /// Its command and arguments; empty for a login shell.
    pub command: Vec<String>,
    /// The directory that it was asked to run in; `~` for its user's home.
    pub cwd: String,
    /// Who runs it, as it was asked for.
    pub user: Option<String>,
    /// Whether it has a terminal.
    pub tty: bool,
    /// Whether clients can send it input.
    pub takes_input: bool,
    /// Whether it is started again when it fails.
    pub restarts_on_failure: bool,
    /// Where it is in its life.
    pub state: guest::SessionState,
    /// The process of its command in the guest, while that runs.
    pub pid: Option<u32>,
    /// When it was started, in milliseconds since 1970, by the guest's clock.
    pub started_ms: u64,
    /// When it ended.
    pub ended_ms: Option<u64>,
    /// The exit code of its command, the last time that it ended; 128 and the signal's number for one that a signal ended.
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// How often it was started again.
    pub restarts: u32,
    /// What its command used, the last time that it ended.
    pub usage: Option<VmSessionUsage>,
    /// What is kept of its output.
    pub log: VmSessionLog,
    /// Clients that are attached or read its log.
    pub clients: u32,
    /// Whether one of them writes.
    pub is_written_to: bool,
}

/// What a command used, with the processes that it waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct VmSessionUsage {
    /// Time in user mode, in microseconds.
    pub user_us: u64,
    /// Time in the kernel, in microseconds.
    pub system_us: u64,
    /// The most memory that one of its processes had, in bytes.
    pub max_resident_bytes: u64,
}

/// What there is of a session's log. Cursors count the bytes of both streams from the first one on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct VmSessionLog {
    /// The cursor of the first byte that is kept.
    pub start: u64,
    /// The cursor behind the last byte.
    pub end: u64,
    /// Bytes that could not be kept, because the guest's disk was full.
    pub lost: u64,
    /// The bytes of the guest's disk that it takes at most.
    pub max_bytes: u64,
}

impl From<guest::Session> for VmSession {
    fn from(session: guest::Session) -> Self {
        let signal = |status| match status {
            ExitStatus::Signal(signal) => Some(signal),
            ExitStatus::Code(_) => None,
        };
        Self {
            takes_input: session.tty || session.stdin == guest::SessionInput::Pipe,
            name: session.name,
            command: session.argv,
            cwd: session.cwd,
            user: session.user,
            tty: session.tty,
            restarts_on_failure: session.restart == guest::Restart::OnFailure,
            state: session.state,
            pid: session.pid,
            started_ms: session.started_ms,
            ended_ms: session.ended_ms,
            exit_code: session.exit.map(ExitStatus::shell_code),
            signal: session.exit.and_then(signal),
            restarts: session.restarts,
            usage: session.usage.map(|usage| VmSessionUsage {
                user_us: usage.user_us,
                system_us: usage.system_us,
                max_resident_bytes: usage.max_resident,
            }),
            log: VmSessionLog {
                start: session.log.start,
                end: session.log.end,
                lost: session.log.lost,
                max_bytes: session.log.max,
            },
            clients: session.clients,
            is_written_to: session.is_written_to,
        }
    }
}
