//! Byte streams of a guest: unchanged where the user asked for these bytes, filtered where a terminal shows a log.

use std::io::{self, IsTerminal, Write};

use banger_model::{is_printable, printable, printable_bytes};

/// Standard output for bytes that were asked for: of a command, an archive, a patch.
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub fn stdout() -> io::Stdout {
    io::stdout()
}

/// Standard error for a command's bytes.
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub fn stderr() -> io::Stderr {
    io::stderr()
}

/// Standard output for a log or a patch: filtered on a terminal unless `raw` is set, unchanged elsewhere.
pub fn log(raw: bool) -> Log<io::Stdout> {
    let is_tame = !raw && stdout().is_terminal();
    Log {
        to: stdout(),
        tame: is_tame.then(Tame::default),
    }
}

/// The same for standard error.
pub fn log_of_errors(raw: bool) -> Log<io::Stderr> {
    let is_tame = !raw && stderr().is_terminal();
    Log {
        to: stderr(),
        tame: is_tame.then(Tame::default),
    }
}

/// The writer of a log.
pub struct Log<W: Write> {
    to: W,
    tame: Option<Tame>,
}

impl<W: Write> Log<W> {
    /// Writes bytes without buffering them.
    pub fn show(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.tame {
            None => self.to.write_all(bytes)?,
            Some(tame) => self.to.write_all(tame.next(bytes).as_bytes())?,
        }
        self.to.flush()
    }
}

impl<W: Write> Drop for Log<W> {
    fn drop(&mut self) {
        // Colours of a log must not affect later output.
        if let Some(tame) = &mut self.tame {
            let rest = tame.end();
            let _ = self.to.write_all(rest.as_bytes()).and_then(|()| self.to.flush());
        }
    }
}

/// Longer than any escape sequence that passes the filter.
const LONGEST: usize = 48;

/// Passes text, line ends and colours of a log, and escapes everything else: sequences that move the cursor to other
/// lines, set titles, fill the clipboard, or make the terminal answer.
#[derive(Debug, Default)]
struct Tame {
    /// The start of a sequence or character that is not complete yet.
    begun: Vec<u8>,
    has_color: bool,
}

impl Tame {
    fn next(&mut self, bytes: &[u8]) -> String {
        self.begun.extend_from_slice(bytes);
        let all = std::mem::take(&mut self.begun);
        let mut out = String::with_capacity(all.len());
        let mut rest = &all[..];
        while let Some(&first) = rest.first() {
            let taken = match first {
                0x1b => match Sequence::at(rest) {
                    Sequence::Harmless(len) => {
                        self.has_color = true;
                        out.extend(rest[..len].iter().map(|&byte| char::from(byte)));
                        len
                    }
                    Sequence::Other => {
                        out += &printable("\u{1b}");
                        1
                    }
                    Sequence::Begun => break,
                },
                b'\n' | b'\r' | b'\t' => {
                    out.push(char::from(first));
                    1
                }
                _ => {
                    let end = rest
                        .iter()
                        .position(|byte| matches!(byte, 0x1b | b'\n' | b'\r' | b'\t'));
                    let whole = match end {
                        Some(end) => end,
                        None => rest.len() - cut_off(rest),
                    };
                    if whole == 0 {
                        break;
                    }
                    out += &printable_bytes(&rest[..whole]);
                    whole
                }
            };
            rest = &rest[taken..];
        }
        self.begun = rest.to_vec();
        out
    }

    fn end(&mut self) -> String {
        let mut out = printable_bytes(&std::mem::take(&mut self.begun));
        if self.has_color {
            out += "\u{1b}[m";
        }
        out
    }
}

/// Number of bytes at the end that start an incomplete character.
fn cut_off(bytes: &[u8]) -> usize {
    let tail = bytes
        .utf8_chunks()
        .last()
        .map_or(&[][..], |chunk| chunk.invalid());
    match std::str::from_utf8(tail) {
        Err(error) if error.error_len().is_none() => tail.len(),
        _ => 0,
    }
}

/// Kinds of escape sequences.
enum Sequence {
    /// A style of text, or clearing the rest of the line; with its length in bytes.
    Harmless(usize),
    Begun,
    Other,
}

impl Sequence {
    fn at(bytes: &[u8]) -> Self {
        match bytes.get(1) {
            None => return Self::Begun,
            Some(b'[') => {}
            Some(_) => return Self::Other,
        }
        let parameters = bytes[2..].iter().take(LONGEST);
        let len = parameters.take_while(|byte| matches!(byte, b'0'..=b';')).count();
        let of = &bytes[2..2 + len];
        match bytes.get(2 + len) {
            None => Self::Begun,
            Some(b'm') if !conceals(of) => Self::Harmless(len + 3),
            // To the end of the line; erases nothing that was printed before.
            Some(b'K') if matches!(of, b"" | b"0") => Self::Harmless(len + 3),
            Some(_) => Self::Other,
        }
    }
}

/// Whether a style makes text invisible.
fn conceals(parameters: &[u8]) -> bool {
    let mut fields = parameters.split(|byte| matches!(byte, b';' | b':'));
    while let Some(field) = fields.next() {
        match field {
            // A palette or RGB colour: its numbers are not styles.
            b"38" | b"48" | b"58" => match fields.next() {
                Some(b"5") => drop(fields.next()),
                Some(b"2") => drop(fields.by_ref().take(3).count()),
                _ => {}
            },
            b"8" | b"08" => return true,
            _ => {}
        }
    }
    false
}

/// Whether a shell may complete this text.
pub fn is_candidate(text: &str) -> bool {
    text.chars().all(is_printable)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name of a case.
    fn plain(text: &str) -> String {
        text.replace(|c: char| !c.is_ascii_alphanumeric(), "-")
    }

    fn tamed(pieces: &[&[u8]]) -> String {
        let mut tame = Tame::default();
        let mut out: String = pieces.iter().map(|piece| tame.next(piece)).collect();
        out += &tame.end();
        out
    }

    #[test]
    fn text_lines_and_colours_pass() {
        for log in ["plain ü\r\n\ttext\n", "日本\n"] {
            assert_eq!(tamed(&[log.as_bytes()]), log);
        }
        let colored = "[\u{1b}[0;32m  OK  \u{1b}[0m] \u{1b}[38;5;8mStarted\u{1b}[K\n";
        assert_eq!(tamed(&[colored.as_bytes()]), format!("{colored}\u{1b}[m"));
    }

    #[test]
    fn what_a_terminal_obeys_is_escaped() {
        for hostile in [
            "\u{1b}]52;c;cm0gLXJm\u{7}",
            "\u{1b}]0;title\u{1b}\\",
            "\u{1b}[2J",
            "\u{1b}[1A",
            "\u{1b}[2K",
            "\u{1b}[1K",
            "\u{1b}[6n",
            "\u{1b}[c",
            "\u{1b}[?1049h",
            "\u{1b}[8m",
            "\u{1b}[1;8m",
            "\u{1b}c",
            "\u{1b}P$q\u{1b}\\",
            "\u{1b}",
            "\u{9b}2J",
            "\u{8}\u{7f}",
            "\u{202e}",
        ] {
            let whole = tamed(&[hostile.as_bytes()]);
            assert!(whole.chars().all(is_printable), "{whole:?}");
            let pieces: Vec<&[u8]> = hostile.as_bytes().chunks(1).collect();
            assert_eq!(tamed(&pieces), whole);
            banger_cases::refused("terminal", &format!("log.{}", plain(&printable(hostile))));
        }
    }

    #[test]
    fn pieces_make_no_difference() {
        let log = "ü日\u{1b}[31mred\u{1b}[m\n".as_bytes();
        for at in 0..log.len() {
            assert_eq!(tamed(&[&log[..at], &log[at..]]), tamed(&[log]), "{at}");
        }
        assert_eq!(tamed(&[b"a\xff", b"\xc3"]), "a\\xff\\xc3");
    }

    #[test]
    fn a_sequence_without_end_is_not_waited_for() {
        let mut tame = Tame::default();
        let long = [b"\x1b[".as_slice(), &[b'1'; 5000]].concat();
        assert!(!tame.next(&long).is_empty());
        assert!(tame.begun.len() <= LONGEST + 3, "{}", tame.begun.len());
    }
}
