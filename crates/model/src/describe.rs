//! From typed errors to the one body that the API speaks.

use std::error::Error;

use crate::{ErrorBody, ErrorCode};

/// An error that a user may see.
///
/// One method, so that all that is told of a variant stands beside it, in one arm of one match: nothing can be said of a
/// failure's kind in one place and of its hints in another.
pub trait Describe: Error {
    /// What the error tells beside its message.
    fn describe(&self) -> Description;
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
    /// Deeper causes, outermost first, if they are not the error's sources: they came from another program.
    pub causes: Option<Vec<String>>,
    /// The request that failed, as it is called in that program's log.
    pub request_id: Option<Box<str>>,
}

impl From<ErrorCode> for Description {
    fn from(code: ErrorCode) -> Self {
        Self {
            code,
            hints: Vec::new(),
            log: None,
            causes: None,
            request_id: None,
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

    /// The same, and what else can be done, if anything.
    #[must_use]
    pub fn with_hints(mut self, hints: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.hints.extend(hints.into_iter().map(Into::into));
        self
    }

    /// The same, with causes that another program told.
    #[must_use]
    pub fn with_causes(mut self, causes: Vec<String>) -> Self {
        self.causes = Some(causes);
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
    fn describe(&self) -> Description {
        Description {
            code: self.code,
            hints: self.hints.clone(),
            log: self.log.clone(),
            causes: Some(self.causes.clone()),
            request_id: self.request_id.clone(),
        }
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
    let Description {
        code,
        hints,
        log,
        causes,
        request_id,
    } = error.describe();
    let sources = || sources(error.source()).map(ToString::to_string).collect();
    ErrorBody {
        code,
        message: error.to_string(),
        causes: causes.unwrap_or_else(sources),
        hints,
        log,
        request_id,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Wrapper {
        #[error(transparent)]
        Daemon(ErrorBody),
        #[error("failed to write")]
        Own(#[source] std::io::Error),
    }

    impl Describe for Wrapper {
        fn describe(&self) -> Description {
            match self {
                Self::Daemon(body) => body.describe(),
                Self::Own(_) => Description::hinted(ErrorCode::Host, "free space"),
            }
        }
    }

    #[test]
    fn what_another_program_told_stays_whole_and_own_causes_are_the_sources() {
        let told = ErrorBody {
            code: ErrorCode::WrongPhase,
            message: "no".to_owned(),
            causes: vec!["a cause".to_owned()],
            hints: vec!["a hint".to_owned()],
            log: Some("a log".to_owned()),
            request_id: Some("7".into()),
        };
        assert_eq!(body(&Wrapper::Daemon(told.clone())), told);
        let own = body(&Wrapper::Own(std::io::Error::other("the disk is full")));
        assert_eq!(
            (own.causes, own.hints),
            (vec!["the disk is full".to_owned()], vec!["free space".to_owned()])
        );
        assert_eq!((own.log, own.request_id), (None, None));
    }
}
