//! The daemon's log: what strangers said is in it, and a person reads it in a terminal.

use std::io::{self, Write};

use banger_model::printable_bytes;

/// Writes what it gets, an event at a time, as one line with all escaped that is not printable.
pub(crate) struct Escaped<W>(pub(crate) W);

impl<W: Write> Write for Escaped<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let mut line = printable_bytes(event.strip_suffix(b"\n").unwrap_or(event));
        line.push('\n');
        self.0.write_all(line.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_whatever_a_guest_says() {
        let mut log = Escaped(Vec::new());
        let event = "WARN guest said \u{1b}[2J\u{9b}1A\n2026 INFO all is well\u{202e}\n";
        log.write_all(event.as_bytes()).unwrap();
        let text = String::from_utf8(log.0).unwrap();
        assert_eq!(
            text,
            "WARN guest said \\u{1b}[2J\\u{9b}1A\\n2026 INFO all is well\\u{202e}\n"
        );
        banger_cases::refused("terminal", "daemon-log");
    }
}
