//! Writes single lines to standard output or standard error. All text is escaped.

use std::fmt::Write as _;
use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use banger_model::printable;

use super::stream;
use crate::failure::Failure;
use crate::{exit, output};

/// Prints one line on standard error: `notice!("note: {why}")`.
#[macro_export]
macro_rules! notice {
    ($($words:tt)*) => {
        $crate::print::notice(&format!($($words)*))
    };
}

/// A line with styles.
#[derive(Debug, Default)]
pub struct Line(String);

impl Line {
    /// A line that begins with a label in bold and a color.
    pub fn labelled(word: &str, color: AnsiColor) -> Self {
        let style = Style::new().bold().fg_color(Some(color.into()));
        Self::default().styled(style, word)
    }

    /// Adds text, which is escaped.
    #[must_use]
    pub fn text(mut self, text: &str) -> Self {
        self.0 += &printable(text);
        self
    }

    /// Adds text with a style, escaped.
    #[must_use]
    pub fn styled(mut self, style: Style, text: &str) -> Self {
        // Writing to a string does not fail.
        let _ = write!(self.0, "{style}{}{style:#}", printable(text));
        self
    }

    /// The line with its escape sequences.
    pub fn rendered(&self) -> &str {
        &self.0
    }

    /// Prints the line on standard output.
    pub fn print(&self) {
        let mut stdout = anstream::AutoStream::auto(stream::stdout());
        written(writeln!(stdout, "{}", self.rendered()).and_then(|()| stdout.flush()));
    }

    /// Prints the line on standard error.
    pub fn eprint(&self) {
        // An error of standard error cannot be reported.
        let _ = writeln!(
            anstream::AutoStream::auto(stream::stderr()),
            "{}",
            self.rendered()
        );
    }
}

/// Prints a line. If the reader has closed the pipe, the command ends without an error.
pub fn line(text: &str) {
    written(writeln!(stream::stdout(), "{}", printable(text)));
}

/// Prints text of several lines, escaped line by line.
pub fn text(text: &str) {
    text.lines().for_each(line);
}

/// Prints one line on standard error, which is an object if the command's output is JSON.
pub fn notice(text: &str) {
    if output::is_json() {
        let note = text.strip_prefix("note: ").unwrap_or(text).trim();
        return super::json_aside(&serde_json::json!({ "note": note }));
    }
    // An error of standard error cannot be reported.
    let _ = writeln!(stream::stderr(), "{}", printable(text));
}

/// Prints a question on standard error, without a newline.
pub fn prompt(text: &str) -> io::Result<()> {
    let mut stderr = stream::stderr();
    write!(stderr, "{}", printable(text))?;
    stderr.flush()
}

/// Prints a line on standard error in the middle of the output of a terminal in raw mode.
pub fn aside(text: &str) {
    let _ = write!(stream::stderr(), "\r\n{}\r\n", printable(text));
}

/// Ends the command if writing to standard output failed, with a message unless the reader has closed the pipe.
pub fn written(result: io::Result<()>) {
    if let Err(error) = result {
        std::process::exit(lost(&error));
    }
}

/// The exit code of a command whose output could not be written.
pub fn lost(error: &io::Error) -> i32 {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return exit::OK;
    }
    Failure::during("failed to write to standard output", error).report()
}
