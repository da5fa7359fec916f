//! From typed errors to the one body that the API speaks.

use std::error::Error;

use crate::{ErrorBody, ErrorCode};

/// What an error that a user may see tells beside its message.
pub trait Describe: Error {
    /// The kind of failure, for scripts.
    fn code(&self) -> ErrorCode;
    /// What to do next.
    fn hints(&self) -> Vec<String> {
        Vec::new()
    }
    /// The end of the log that shows more.
    fn log(&self) -> Option<String> {
        None
    }
    /// All three, for an error that has nothing to add to those of its source.
    fn description(&self) -> Description {
        Description {
            code: self.code(),
            hints: self.hints(),
            log: self.log(),
        }
    }
    /// The request that failed, as it is called in the daemon's log.
    fn request_id(&self) -> Option<Box<str>> {
        None
    }
    /// Deeper causes, outermost first.
    fn causes(&self) -> Vec<String> {
        sources(self.source()).map(ToString::to_string).collect()
    }
}

/// What one error tells beside its message, written in one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// The kind of failure, for scripts.
    pub code: ErrorCode,
    /// What to do next.
    pub hints: Vec<String>,
    /// The end of the log that shows more.
    pub log: Option<String>,
}

impl From<ErrorCode> for Description {
    fn from(code: ErrorCode) -> Self {
        Self {
            code,
            hints: Vec::new(),
            log: None,
        }
    }
}

impl Description {
    /// A failure of this kind, and what to do next.
    pub fn hinted(code: ErrorCode, hint: impl Into<String>) -> Self {
        Self::from(code).and(hint)
    }

    /// The same, and what else can be done.
    #[must_use]
    pub fn and(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The same, with the end of a log.
    #[must_use]
    pub fn with_log(mut self, log: Option<String>) -> Self {
        self.log = log;
        self
    }
}

/// One that was described already stays as it is.
impl Describe for ErrorBody {
    fn code(&self) -> ErrorCode {
        self.code
    }

    fn hints(&self) -> Vec<String> {
        self.hints.clone()
    }

    fn log(&self) -> Option<String> {
        self.log.clone()
    }

    fn request_id(&self) -> Option<Box<str>> {
        self.request_id.clone()
    }

    fn causes(&self) -> Vec<String> {
        self.causes.clone()
    }
}

/// Results of services: their typed error becomes the body that a client gets.
pub trait Described<T> {
    /// The same with a described error.
    fn described(self) -> Result<T, ErrorBody>;
}

impl<T, E: Describe> Described<T> for Result<T, E> {
    fn described(self) -> Result<T, ErrorBody> {
        self.map_err(|error| body(&error))
    }
}

/// The body that a client gets for `error`: its message, and the messages of its sources as causes.
pub fn body(error: &dyn Describe) -> ErrorBody {
    ErrorBody {
        code: error.code(),
        message: error.to_string(),
        causes: error.causes(),
        hints: error.hints(),
        log: error.log(),
        request_id: error.request_id(),
    }
}

/// The message of an error with those of its sources, for logs.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    for cause in sources(error.source()) {
        text.push_str(": ");
        text.push_str(&cause.to_string());
    }
    text
}

/// An error and what it comes from, outermost first.
pub fn sources<'a>(
    first: Option<&'a (dyn Error + 'static)>,
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(first, |&error| error.source())
}
