//! What a session wrote: how much of it there is, and how a client reads it and follows it.

use serde::{Deserialize, Serialize};

use crate::TerminalSize;

/// What there is of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Extent {
    /// The cursor of the first byte that is kept.
    pub start: u64,
    /// The cursor behind the last byte.
    pub end: u64,
    /// Bytes that could not be kept, because the disk was full.
    pub lost: u64,
    /// The bytes of disk that it takes at most.
    pub max: u64,
}

/// Joins a session's streams. Frames of both directions follow.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SessionStream {
    /// What comes of its output.
    #[serde(default)]
    pub output: SessionOutput,
    /// The cursor to begin at. When absent, the log's begin, or for [`SessionOutput::Live`] what shows where it is: the screen
    /// of a terminal, or the last lines.
    #[serde(default)]
    pub since: Option<u64>,
    /// One of its streams; both when absent.
    #[serde(default)]
    pub only: Option<OutputStream>,
    /// Whether this client writes.
    #[serde(default)]
    pub input: Writing,
    /// The size of the client's terminal. The last one that writes decides.
    #[serde(default)]
    pub size: Option<TerminalSize>,
}

/// What comes of a session's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum SessionOutput {
    /// Nothing.
    #[default]
    None,
    /// All there is, and then the end.
    Log,
    /// The same, and then what is written until it ends.
    Follow,
    /// As one who sits there sees it. The screen of a terminal is painted again for one who falls behind.
    Live,
}

/// Whether a client writes. One does at a time, or several who all agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Writing {
    /// It only watches.
    #[default]
    No,
    /// It alone.
    Alone,
    /// It, and others who share.
    Shared,
    /// It alone: who writes now is sent away.
    Instead,
}

/// A stream of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum OutputStream {
    /// Standard output, or all output of a terminal.
    Stdout,
    /// Standard error.
    Stderr,
}
