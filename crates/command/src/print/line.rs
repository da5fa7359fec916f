//! The one writer of what banger says: a line at a time, on standard output or standard error, with all escaped that is not
//! banger's own.

use std::fmt::Write as _;
use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use banger_model::printable;

use super::stream;
use crate::exit;

/// Says something on standard error, on one line: `say!("note: {why}")`.
#[macro_export]
macro_rules! say {
    ($($words:tt)*) => {
        $crate::print::notice(&format!($($words)*))
    };
}

/// A line with looks.
#[derive(Debug, Default)]
pub struct Line(String);

impl Line {
    /// A line that begins with a word in bold and a color.
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

    /// Adds text with a look.
    #[must_use]
    pub fn styled(mut self, style: Style, text: &str) -> Self {
        // Writing to a string does not fail.
        let _ = write!(self.0, "{style}{}{style:#}", printable(text));
        self
    }

    /// The line as a terminal gets it.
    pub fn rendered(&self) -> &str {
        &self.0
    }

    /// Prints it.
    pub fn print(&self) {
        let mut stdout = anstream::AutoStream::auto(stream::stdout());
        written(writeln!(stdout, "{}", self.rendered()).and_then(|()| stdout.flush()));
    }

    /// Says it on standard error.
    pub fn say(&self) {
        // Who cannot be told is not told.
        let _ = writeln!(
            anstream::AutoStream::auto(stream::stderr()),
            "{}",
            self.rendered()
        );
    }
}

/// Prints a line. A reader that has seen enough and left is no failure: the command ends.
pub fn line(text: &str) {
    written(writeln!(stream::stdout(), "{}", printable(text)));
}

/// Prints text of several lines, which is escaped line by line.
pub fn text(text: &str) {
    text.lines().for_each(line);
}

/// Says something on standard error, on one line.
pub fn notice(text: &str) {
    // Who cannot be told is not told.
    let _ = writeln!(stream::stderr(), "{}", printable(text));
}

/// Says something on standard error and stays on the line, for a question.
pub fn prompt(text: &str) -> io::Result<()> {
    let mut stderr = stream::stderr();
    write!(stderr, "{}", printable(text))?;
    stderr.flush()
}

/// Says something on standard error in the middle of what a terminal in raw mode shows.
pub fn aside(text: &str) {
    let _ = write!(stream::stderr(), "\r\n{}\r\n", printable(text));
}

/// Goes on if something was written to standard output; else ends the command, with a message if somebody still reads.
pub fn written(result: io::Result<()>) {
    if let Err(error) = result {
        std::process::exit(lost(&error));
    }
}

/// The exit code of a command whose output was not taken.
pub fn lost(error: &io::Error) -> i32 {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return exit::OK;
    }
    let message = "failed to write to standard output";
    Line::labelled("error:", AnsiColor::Red)
        .text(" ")
        .text(message)
        .say();
    Line::default()
        .text("  caused by: ")
        .text(&error.to_string())
        .say();
    exit::FAILED
}
