//! From the daemon's typed errors to the one body that the API speaks.

use std::error::Error;

use banger_api::ErrorBody;
use banger_model::ErrorCode;

/// What every error of the daemon can tell a user beside its message.
pub(crate) trait Describe: Error {
    /// The kind of failure, for scripts.
    fn code(&self) -> ErrorCode;
    /// What to do next.
    fn hints(&self) -> Vec<String>;
    /// The end of the log that tells more.
    fn log(&self) -> Option<String>;
}

/// The body that a client gets for `error`: its message, and the messages of its sources as causes.
pub(crate) fn body(error: &dyn Describe) -> ErrorBody {
    let mut causes = Vec::new();
    let mut source = error.source();
    while let Some(cause) = source {
        causes.push(cause.to_string());
        source = cause.source();
    }
    ErrorBody {
        code: error.code(),
        message: error.to_string(),
        causes,
        hints: error.hints(),
        log: error.log(),
    }
}

/// The message of an error with those of its sources, for logs.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

impl Describe for banger_image::Error {
    fn code(&self) -> ErrorCode {
        self.kind()
    }

    fn hints(&self) -> Vec<String> {
        Self::hints(self)
    }

    fn log(&self) -> Option<String> {
        None
    }
}

impl Describe for banger_image::catalog::Error {
    fn code(&self) -> ErrorCode {
        self.kind()
    }

    fn hints(&self) -> Vec<String> {
        Self::hints(self)
    }

    fn log(&self) -> Option<String> {
        None
    }
}
