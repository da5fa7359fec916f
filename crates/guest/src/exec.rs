//! Running a command in the guest.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A command to run. Its streams follow as frames on the upgraded connection.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Exec {
    /// The program and its arguments. Empty means the user's login shell (as a login shell).
    pub argv: Vec<String>,
    /// Variables over the guest's and the VM's.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Variables of the client's user, under those of the VM. The daemon puts them into `env`, as far as the configuration allows
    /// it; an agent gets none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub user_env: BTreeMap<String, String>,
    /// Working directory; the user's home when absent.
    #[serde(default)]
    pub cwd: Option<String>,
    /// `user`, `uid`, `user:group` or `uid:gid`; root when absent.
    #[serde(default)]
    pub user: Option<String>,
    /// A pseudo-terminal for the command, or pipes when absent.
    #[serde(default)]
    pub tty: Option<Tty>,
}

/// A pseudo-terminal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Tty {
    /// The value of `TERM`.
    pub term: String,
    /// Its size at the start.
    pub size: TerminalSize,
}

/// The size of a terminal, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct TerminalSize {
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub cols: u16,
}

/// A frame on the control channel, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Control {
    /// Guest to host: the command runs.
    Started {
        /// Its process id in the guest.
        pid: u32,
    },
    /// Host to guest: the terminal has a new size.
    Resize {
        /// The size.
        size: TerminalSize,
    },
    /// Host to guest: deliver a signal to the command's process group.
    Signal {
        /// The signal's number on Linux.
        signal: i32,
    },
    /// Guest to host, the last frame: the command ended and all its output has been sent.
    Exit {
        /// How.
        status: ExitStatus,
    },
    /// Guest to host: so many bytes of a stream were lost before the next frame.
    Gap {
        /// The channel number; 0 for a session, whose streams are counted together.
        channel: u8,
        /// Lost bytes.
        bytes: u64,
    },
    /// Guest to host, of a session's log: where the next frame of output begins. One who follows a session live is told it
    /// once, at the beginning, unless that is a painted screen.
    At {
        /// Its cursor.
        cursor: u64,
        /// When it was written, in microseconds since 1970.
        time_us: u64,
    },
    /// Host to guest, of a session: nothing more comes. What was sent before is delivered first.
    Leave,
    /// Guest to host, the last frame: the client has left, or seen all there is. The session goes on.
    Left {
        /// The cursor behind what was sent.
        cursor: u64,
    },
    /// Guest to host, the last frame: the command could not run, or the session cannot be joined.
    Error {
        /// Why.
        failure: crate::Failure,
        /// 127 when the program was not found, 126 when it could not be executed, 125 for everything else, as
        /// POSIX shells have it.
        exit_code: i32,
    },
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ExitStatus {
    /// It exited with this code, 0 to 255.
    Code(i32),
    /// A signal of this number ended it.
    Signal(i32),
}

impl ExitStatus {
    /// The exit code a shell would show: the code itself, or 128 and the signal's number.
    pub const fn shell_code(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => 128 + signal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_a_signal_ended_has_the_code_that_a_shell_shows() {
        assert_eq!(ExitStatus::Code(3).shell_code(), 3);
        assert_eq!(ExitStatus::Signal(9).shell_code(), 137);
    }
}
