//! Sessions: commands of the guest that outlive whoever started them.
//!
//! | route | body in | body out |
//! |---|---|---|
//! | `GET /v1/sessions` | | list of [`Session`] |
//! | `POST /v1/sessions` | [`SessionStart`] | [`Session`] |
//! | `GET /v1/sessions/{name}` | | [`Session`] |
//! | `GET /v1/sessions/{name}/wait` | | [`Session`], when it has ended |
//! | `POST /v1/sessions/{name}/signal` | [`SessionSignal`] | [`Session`] |
//! | `POST /v1/sessions/{name}/stop` | [`SessionStop`] | [`Session`]: it is asked to end |
//! | `DELETE /v1/sessions/{name}` | | the [`Session`] that was; only of one that has ended |
//! | `POST /v1/sessions/{name}/stream` with `Upgrade: stdio_mux_v1` | [`SessionStream`](crate::SessionStream) | 101, then frames |
//!
//! A failure has the status 410 when there is no such session, and 409 when it is not in a state for it.
//!
//! A *cursor* counts the bytes that a session has written, of both streams, in the order in which they came. It is
//! absolute: what was rotated away keeps its numbers.

use serde::{Deserialize, Serialize};

use crate::session_output::Extent;
use crate::{Exec, ExitStatus};

/// The bytes of output that are kept of a session, unless something else is said.
pub const LOG_MAX: u64 = 64 << 20;

/// The fewest bytes that a session's log can be bounded to.
pub const LOG_LEAST: u64 = 64 << 10;

/// How often in a row a session is started again, unless something else is said.
pub const MAX_RESTARTS: u32 = 5;

/// The longest name of a session.
const LONGEST_NAME: usize = 63;

/// What names of sessions are made of.
pub const NAME_RULE: &str =
    "up to 63 letters, digits, and inner `.`, `_` and `-`, beginning with a letter or digit";

/// Whether a session can be called so. Names are names of directories in the guest.
pub fn is_session_name(text: &str) -> bool {
    let ends = |end: Option<char>| end.is_some_and(|end| end.is_ascii_alphanumeric());
    text.len() <= LONGEST_NAME
        && ends(text.chars().next())
        && ends(text.chars().next_back())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
}

/// Starts a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SessionStart {
    /// Its name; the guest finds one when absent.
    #[serde(default)]
    pub name: Option<String>,
    /// Its command.
    pub exec: Exec,
    /// What it reads, if it has no terminal.
    #[serde(default)]
    pub stdin: SessionInput,
    /// Programs that must be there.
    #[serde(default)]
    pub require: Vec<String>,
    /// What happens when it ends.
    #[serde(default)]
    pub restart: Restart,
    /// How often in a row it is started again at most.
    #[serde(default = "max_restarts")]
    pub max_restarts: u32,
    /// The bytes of output that are kept.
    #[serde(default = "log_max")]
    pub log_max: u64,
}

const fn max_restarts() -> u32 {
    MAX_RESTARTS
}

const fn log_max() -> u64 {
    LOG_MAX
}

/// What a session without a terminal reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum SessionInput {
    /// Nothing: its standard input is at its end.
    #[default]
    Closed,
    /// What clients send.
    Pipe,
}

/// What happens when a session's command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Restart {
    /// The session ends.
    #[default]
    Never,
    /// A command that failed is started again, after a while.
    OnFailure,
}

/// A session as it is now, or was at its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Its name.
    pub name: String,
    /// Its command; empty for a login shell.
    pub argv: Vec<String>,
    /// Where it runs.
    pub cwd: String,
    /// Who runs it, as it was asked for.
    pub user: Option<String>,
    /// Whether it has a terminal.
    pub tty: bool,
    /// What it reads.
    pub stdin: SessionInput,
    /// What happens when its command ends.
    pub restart: Restart,
    /// Where it is in its life.
    pub state: SessionState,
    /// The process of its command, while that runs.
    pub pid: Option<u32>,
    /// When it was started, in milliseconds since 1970.
    pub started_ms: u64,
    /// When it ended.
    pub ended_ms: Option<u64>,
    /// How its command ended, the last time that it did.
    pub exit: Option<ExitStatus>,
    /// How often it was started again.
    pub restarts: u32,
    /// What its command used, the last time that it ended.
    pub usage: Option<Usage>,
    /// What is kept of its output.
    pub log: Extent,
    /// Clients that are attached or read its log.
    pub clients: u32,
    /// Whether one of them writes.
    pub is_written_to: bool,
}

/// Where a session is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = VmSessionState))]
#[serde(rename_all = "snake_case")]
pub enum SessionState {
    /// Its command runs.
    Running,
    /// Its command failed and will be started again.
    Restarting,
    /// Its command ended.
    Exited,
    /// Nobody saw its end: the machine ended under it, or its keeper was killed.
    Lost,
}

impl SessionState {
    /// Whether its command may still run.
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Running | Self::Restarting)
    }

    /// The state as a word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Restarting => "restarting",
            Self::Exited => "exited",
            Self::Lost => "lost",
        }
    }
}

/// What a command used, with the processes that it waited for (getrusage(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Time in user mode, in microseconds.
    pub user_us: u64,
    /// Time in the kernel, in microseconds.
    pub system_us: u64,
    /// The most memory that one of its processes had, in bytes.
    pub max_resident: u64,
}

/// Delivers a signal to a session's process group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SessionSignal {
    /// The signal's number on Linux.
    pub signal: i32,
}

/// Ends a session: its process group is asked to, and killed when it has not after a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SessionStop {
    /// How long it may take, in milliseconds. With 0 it is killed at once.
    pub grace_ms: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_names_of_directories() {
        for name in ["a", "web-1", "A.b_c", "7", &"x".repeat(63)] {
            assert!(is_session_name(name), "{name}");
        }
        for name in [
            "",
            ".",
            "..",
            "-a",
            "a-",
            "a/b",
            "a b",
            "ä",
            "a\0b",
            &"x".repeat(64),
        ] {
            assert!(!is_session_name(name), "{name}");
        }
    }

    #[test]
    fn little_has_to_be_said() {
        let start: SessionStart = serde_json::from_str(r#"{"exec":{"argv":["true"]}}"#).unwrap();
        assert_eq!(
            (start.log_max, start.max_restarts, start.stdin),
            (LOG_MAX, MAX_RESTARTS, SessionInput::Closed)
        );
    }
}
