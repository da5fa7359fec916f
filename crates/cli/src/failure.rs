//! What went wrong, as it is printed: `error:`, `caused by:`, `hint:`.

use std::error::Error;
use std::fmt::Write;

use anstyle::{AnsiColor, Style};
use banger_api::ErrorBody;
use banger_api::client::ClientError;
use banger_model::ErrorCode;

use crate::exit;

/// A command that failed.
#[derive(Debug)]
pub(crate) struct Failure {
    body: ErrorBody,
    code: i32,
}

impl Failure {
    /// A failure on this side, with what to do about it.
    pub(crate) fn new(message: impl Into<String>, hints: &[&str]) -> Self {
        Self {
            body: ErrorBody {
                code: ErrorCode::InvalidRequest,
                message: message.into(),
                causes: Vec::new(),
                hints: hints.iter().map(|hint| (*hint).to_owned()).collect(),
                log: None,
            },
            code: exit::FAILED,
        }
    }

    /// A failure to do `what`.
    pub(crate) fn during(what: impl Into<String>, source: &dyn Error) -> Self {
        let mut failure = Self::new(what, &[]);
        failure.body.causes = chain(source);
        failure
    }

    /// Adds what to do about it.
    pub(crate) fn add_hint(&mut self, hint: &str) {
        self.body.hints.push(hint.to_owned());
    }

    /// Adds the end of a log.
    pub(crate) fn with_log(mut self, log: String) -> Self {
        self.body.log = (!log.trim().is_empty()).then_some(log);
        self
    }

    /// The same, with another exit code.
    pub(crate) fn exiting(mut self, code: i32) -> Self {
        self.code = code;
        self
    }

    /// The same, for a command in a guest that did not come to run.
    pub(crate) fn before_command(self) -> Self {
        let code = if self.code == exit::INTERRUPTED {
            self.code
        } else {
            exit::NO_COMMAND
        };
        self.exiting(code)
    }

    /// The same for a command line that goes on to run a command: codes that a guest's command may have itself become
    /// the one that says that none ran; those that the guest gave stay.
    pub(crate) fn unless_of_guest(self) -> Self {
        if matches!(
            self.code,
            exit::FAILED | exit::NOT_FOUND | exit::CONFLICT | exit::HOST
        ) {
            return self.before_command();
        }
        self
    }

    /// Prints it and gives the exit code.
    pub(crate) fn report(&self) -> i32 {
        anstream::eprint!("{}", self.rendered());
        self.code
    }

    fn rendered(&self) -> String {
        let label = |text: &str, color: AnsiColor| {
            let style = Style::new().bold().fg_color(Some(color.into()));
            format!("{style}{text}{style:#}")
        };
        let mut out = String::new();
        // Writing to a string does not fail.
        let _ = writeln!(out, "{} {}", label("error:", AnsiColor::Red), self.body.message);
        for cause in &self.body.causes {
            let _ = writeln!(out, "  caused by: {cause}");
        }
        if let Some(log) = &self.body.log {
            let _ = writeln!(out, "  its last words:");
            for line in last_lines(log, 20) {
                let _ = writeln!(out, "    | {line}");
            }
        }
        for hint in &self.body.hints {
            let _ = writeln!(out, "{} {hint}", label("hint:", AnsiColor::Cyan));
        }
        out
    }
}

fn last_lines(log: &str, most: usize) -> impl Iterator<Item = &str> {
    let lines: Vec<_> = log.lines().filter(|line| !line.trim().is_empty()).collect();
    let skip = lines.len().saturating_sub(most);
    lines.into_iter().skip(skip)
}

fn chain(error: &dyn Error) -> Vec<String> {
    let mut causes = vec![error.to_string()];
    let mut source = error.source();
    while let Some(cause) = source {
        causes.push(cause.to_string());
        source = cause.source();
    }
    causes
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let body = match error {
            ClientError::Api(body) => return (*body).into(),
            error => {
                let mut causes = chain(&error);
                ErrorBody {
                    code: ErrorCode::Internal,
                    message: causes.remove(0),
                    causes,
                    hints: vec![
                        "`banger daemon status` tells whether it runs, and where its log is".to_owned(),
                    ],
                    log: None,
                }
            }
        };
        Self {
            body,
            code: exit::FAILED,
        }
    }
}

impl From<ErrorBody> for Failure {
    fn from(body: ErrorBody) -> Self {
        let code = exit::code(body.code);
        Self { body, code }
    }
}

impl From<banger_api::PathsError> for Failure {
    fn from(error: banger_api::PathsError) -> Self {
        Self::during("find banger's directories", &error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_tells_what_why_and_what_next() {
        let body = ErrorBody {
            code: ErrorCode::Vmm,
            message: "the machine of VM `web` ended in stage kernel: the guest rebooted".to_owned(),
            causes: vec!["a deeper cause".to_owned()],
            hints: vec!["try `--vmm qemu`".to_owned()],
            log: Some("one\n\ntwo\n".to_owned()),
        };
        let failure = Failure::from(ClientError::Api(Box::new(body)));
        let plain = anstream::adapter::strip_str(&failure.rendered()).to_string();
        insta::assert_snapshot!(plain, @r"
        error: the machine of VM `web` ended in stage kernel: the guest rebooted
          caused by: a deeper cause
          its last words:
            | one
            | two
        hint: try `--vmm qemu`
        ");
        assert_eq!(failure.code, exit::FAILED);
    }
}
