//! Failures as the host is told of them.

use std::error::Error;
use std::fmt::Display;

use banger_guest_api::Failure;

/// A failure to do `what`, and why.
pub(crate) fn failed(what: impl Display, source: impl Error) -> Failure {
    let mut causes = vec![source.to_string()];
    let mut deeper = source.source();
    while let Some(cause) = deeper {
        causes.push(cause.to_string());
        deeper = cause.source();
    }
    Failure {
        causes,
        ..refused(format_args!("failed to {what}"))
    }
}

/// A failure that has no deeper cause.
pub(crate) fn refused(what: impl Display) -> Failure {
    Failure::new(what.to_string())
}

/// Adds to a result what was being done.
pub(crate) trait During<T> {
    /// The value, or a failure to do `what`.
    fn during(self, what: impl Display) -> Result<T, Failure>;
}

impl<T, E: Error> During<T> for Result<T, E> {
    fn during(self, what: impl Display) -> Result<T, Failure> {
        self.map_err(|source| failed(what, source))
    }
}
