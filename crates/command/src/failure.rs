//! Errors as they are printed: `error:`, `caused by:`, `hint:`.

use std::borrow::Cow;
use std::error::Error;

use anstyle::AnsiColor;
use banger_api::ErrorBody;
use banger_model::{Describe, ErrorCode, body, last_lines, sources};

use crate::print::{self, Line};
use crate::sudo::for_sudo;
use crate::{exit, output};

/// A command that failed.
#[derive(Debug)]
pub struct Failure {
    body: ErrorBody,
    code: i32,
}

impl Failure {
    /// An error of the client, with hints.
    pub fn new(message: impl Into<String>, hints: &[&str]) -> Self {
        Self {
            body: ErrorBody {
                code: ErrorCode::InvalidRequest,
                message: message.into(),
                causes: Vec::new(),
                hints: hints.iter().map(|hint| (*hint).to_owned()).collect(),
                log: None,
                request_id: None,
            },
            code: exit::FAILED,
        }
    }

    /// An error with its causes. `what` is the message, such as "failed to read the file".
    pub fn during(what: impl Into<String>, source: &(dyn Error + 'static)) -> Self {
        let mut failure = Self::new(what, &[]);
        failure.body.causes = causes(Some(source));
        failure
    }

    /// An error of this host, with its causes.
    pub fn of_host(source: &(dyn Error + 'static)) -> Self {
        let mut failure = Self::new(source.to_string(), &[]);
        failure.body.code = ErrorCode::Host;
        failure.body.causes = causes(source.source());
        failure.exiting(exit::HOST)
    }

    /// Whether the error is that an object does not exist.
    pub fn is_absence(&self) -> bool {
        self.body.code == ErrorCode::NotFound
    }

    /// Whether the error is that the VM is in the wrong phase.
    pub fn is_of_phase(&self) -> bool {
        self.body.code == ErrorCode::WrongPhase
    }

    /// Adds a hint.
    pub fn add_hint(&mut self, hint: &str) {
        self.body.hints.push(hint.to_owned());
    }

    /// Adds the end of a log.
    pub fn with_log(mut self, log: String) -> Self {
        self.body.log = (!log.trim().is_empty()).then_some(log);
        self
    }

    /// The same, with another exit code.
    pub fn exiting(mut self, code: i32) -> Self {
        self.code = code;
        self
    }

    /// The same error, for a command in a guest that did not start.
    pub fn before_command(self) -> Self {
        let code = if self.code == exit::INTERRUPTED {
            self.code
        } else {
            exit::NO_COMMAND
        };
        self.exiting(code)
    }

    /// The same error, for a command line that runs a command in a guest: exit codes that the guest's command may have
    /// itself are replaced by `NO_COMMAND`; codes that came from the guest stay.
    pub fn unless_of_guest(self) -> Self {
        if matches!(
            self.code,
            exit::FAILED | exit::NOT_FOUND | exit::CONFLICT | exit::HOST
        ) {
            return self.before_command();
        }
        self
    }

    /// Prints the error and returns the exit code. As JSON, it is one line.
    pub fn report(&self) -> i32 {
        match output::is_json() {
            true => print::json_aside(&self.as_json()),
            false => self.lines().iter().for_each(Line::eprint),
        }
        self.code
    }

    /// The error as the API has it, with hints for this user.
    pub fn as_json(&self) -> ErrorBody {
        let hints = self.body.hints.iter().map(|hint| for_sudo(hint).into());
        ErrorBody {
            hints: hints.collect(),
            ..self.body.clone()
        }
    }

    /// The lines of the error. No text in them can look like another line: further lines of a text are indented.
    fn lines(&self) -> Vec<Line> {
        let mut out = Vec::new();
        several(
            &mut out,
            Line::labelled("error:", AnsiColor::Red),
            &self.body.message,
        );
        for cause in &self.body.causes {
            several(&mut out, Line::default().text("  caused by:"), cause);
        }
        if let Some(log) = &self.body.log {
            out.push(Line::default().text("  log tail:"));
            out.extend(last_lines(log, 20).map(|line| Line::default().text("    | ").text(line)));
        }
        // An internal error is in the daemon's log, under this id.
        if let Some(id) = self
            .body
            .request_id
            .as_ref()
            .filter(|_| self.body.code == ErrorCode::Internal)
        {
            several(&mut out, Line::default().text("  request:"), id);
        }
        for hint in &self.body.hints {
            several(
                &mut out,
                Line::labelled("hint:", AnsiColor::Cyan),
                &for_sudo(hint),
            );
        }
        out
    }
}

/// Adds a text after `begin`. Further lines of the text, such as a parser's picture of the error, are indented.
fn several(out: &mut Vec<Line>, begin: Line, text: &str) {
    let mut lines = text.lines().take(MOST_LINES).map(cut);
    let first = lines.next().unwrap_or_default();
    out.push(begin.text(" ").text(&first));
    out.extend(lines.map(|line| Line::default().text("    ").text(&line)));
}

/// More than any text of ours: a parser shows the whole line that it does not take, and a file may be one line.
const MOST_LINES: usize = 40;
const LONGEST_LINE: usize = 1000;

/// A line of an error, without the end of one that nobody would read.
fn cut(line: &str) -> Cow<'_, str> {
    match line.char_indices().nth(LONGEST_LINE) {
        Some((end, _)) => Cow::Owned(format!("{}…", &line[..end])),
        None => Cow::Borrowed(line),
    }
}

fn causes(first: Option<&(dyn Error + 'static)>) -> Vec<String> {
    sources(first).map(ToString::to_string).collect()
}

/// Errors that implement `Describe` keep their code, causes and hints.
impl<E: Describe> From<E> for Failure {
    fn from(error: E) -> Self {
        let body = body(&error);
        let code = exit::code(body.code);
        Self { body, code }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use banger_client::ClientError;

    #[test]
    fn a_failure_before_a_guests_command_has_no_code_that_the_command_may_have() {
        let of = |code| {
            let body = ErrorBody {
                code,
                message: String::new(),
                causes: Vec::new(),
                hints: Vec::new(),
                log: None,
                request_id: None,
            };
            Failure::from(ClientError::Api(Box::new(body)))
        };
        for (code, plain, before) in [
            (ErrorCode::NotFound, exit::NOT_FOUND, exit::NO_COMMAND),
            (ErrorCode::WrongPhase, exit::CONFLICT, exit::NO_COMMAND),
            (ErrorCode::Host, exit::HOST, exit::NO_COMMAND),
            (ErrorCode::Guest, exit::FAILED, exit::NO_COMMAND),
            (ErrorCode::Cancelled, exit::INTERRUPTED, exit::INTERRUPTED),
        ] {
            assert_eq!(of(code).code, plain, "{code:?}");
            assert_eq!(of(code).before_command().code, before, "{code:?}");
            assert_eq!(of(code).unless_of_guest().code, before, "{code:?}");
        }
        // A code that came from the guest, or for a wrong command line, stays.
        for own in [42, exit::USAGE] {
            assert_eq!(of(ErrorCode::Guest).exiting(own).unless_of_guest().code, own);
        }
    }

    #[test]
    fn a_failure_tells_what_why_and_what_next() {
        let body = ErrorBody {
            code: ErrorCode::Vmm,
            message: "VM `web` ended unexpectedly in stage kernel: the guest rebooted".to_owned(),
            causes: vec!["a deeper cause".to_owned()],
            hints: vec!["try `--vmm qemu`".to_owned()],
            log: Some("one\n\ntwo\n".to_owned()),
            request_id: None,
        };
        let failure = Failure::from(ClientError::Api(Box::new(body)));
        let lines: Vec<_> = failure
            .lines()
            .iter()
            .map(|line| line.rendered().to_owned())
            .collect();
        let plain = anstream::adapter::strip_str(&lines.join("\n")).to_string();
        insta::assert_snapshot!(plain, @r"
        error: VM `web` ended unexpectedly in stage kernel: the guest rebooted
          caused by: a deeper cause
          log tail:
            | one
            | two
        hint: try `--vmm qemu`
        ");
        assert_eq!(failure.code, exit::FAILED);
    }

    #[test]
    fn a_line_that_nobody_would_read_is_cut() {
        let mut lines = Vec::new();
        several(
            &mut lines,
            Line::default(),
            &format!("{}\n", "é".repeat(5000)).repeat(100),
        );
        assert_eq!(lines.len(), MOST_LINES);
        let most = lines.iter().map(|line| line.rendered().chars().count()).max();
        assert_eq!(most, Some(LONGEST_LINE + "    …".chars().count()));
        assert_eq!(cut("short"), "short");
    }

    #[test]
    fn a_failure_inside_the_daemon_has_the_id_of_its_request() {
        let failed = |code| {
            let body = serde_json::json!({ "code": code, "message": "m", "request_id": "7f" });
            let failure = Failure::from(serde_json::from_value::<ErrorBody>(body).unwrap());
            let lines = failure.lines();
            lines.iter().any(|line| line.rendered().contains("request: 7f"))
        };
        assert!(failed(ErrorCode::Internal) && !failed(ErrorCode::NotFound));
    }

    #[test]
    fn nothing_in_a_failure_plays_with_the_terminal() {
        let hostile = "x\u{1b}[2K\u{9b}1A\rerror: y\nhint: run this\u{202e}";
        type Field = fn(&mut ErrorBody) -> &mut String;
        let fields: [(&str, Field); 4] = [
            ("message", |body| &mut body.message),
            ("cause", |body| &mut body.causes[0]),
            ("hint", |body| &mut body.hints[0]),
            ("log", |body| body.log.get_or_insert_default()),
        ];
        for (name, field) in fields {
            let mut body = ErrorBody {
                code: ErrorCode::Vmm,
                message: "m".to_owned(),
                causes: vec!["c".to_owned()],
                hints: vec!["h".to_owned()],
                log: None,
                request_id: None,
            };
            hostile.clone_into(field(&mut body));
            let failure = Failure::from(body);
            for line in failure.lines() {
                let plain = anstream::adapter::strip_str(line.rendered()).to_string();
                assert!(
                    !plain.contains(|c: char| !banger_model::is_printable(c)),
                    "{name}: {plain:?}"
                );
                assert!(!plain.starts_with("hint: run this"), "{name}: {plain:?}");
            }
            banger_cases::refused("terminal", &format!("failure.{name}"));
        }
    }
}
