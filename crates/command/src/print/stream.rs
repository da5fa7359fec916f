//! Streams of a guest's: raw where a person or a program asked for just these bytes, and tame where a terminal shows a log.

use std::io::{self, IsTerminal, Write};

use banger_model::{is_printable, printable, printable_bytes};

/// Standard output for bytes that were asked for: a command's, an archive's, a patch's.
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub fn stdout() -> io::Stdout {
    io::stdout()
}

/// Standard error for a command's bytes.
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub fn stderr() -> io::Stderr {
    io::stderr()
}

/// Standard output for a log or a patch: tame on a terminal, unless it is wanted raw; the bytes as they are elsewhere.
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

/// Where a log is written to.
pub struct Log<W: Write> {
    to: W,
    tame: Option<Tame>,
}

impl<W: Write> Log<W> {
    /// Writes bytes, and does not keep them.
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
        // Colours of a log are not those of what is printed after it.
        if let Some(tame) = &mut self.tame {
            let rest = tame.end();
            let _ = self.to.write_all(rest.as_bytes()).and_then(|()| self.to.flush());
        }
    }
}

/// Longer than any sequence that is let through.
const LONGEST: usize = 48;

/// Lets text, lines and colours of a log through, and shows all else as escapes: what moves the cursor to other lines, sets titles,
/// fills the clipboard, or makes the terminal answer.
#[derive(Debug, Default)]
struct Tame {
    /// The beginning of a sequence or a character whose rest has not come.
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

/// How many bytes at the end are a character whose rest may come.
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

/// What an escape character begins.
enum Sequence {
    /// A colour or another look of text, or what clears the rest of the line; so many bytes.
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
            // To the end of the line; it erases nothing that was shown before.
            Some(b'K') if matches!(of, b"" | b"0") => Self::Harmless(len + 3),
            Some(_) => Self::Other,
        }
    }
}

/// Whether a look makes text invisible.
fn conceals(parameters: &[u8]) -> bool {
    let mut fields = parameters.split(|byte| matches!(byte, b';' | b':'));
    while let Some(field) = fields.next() {
        match field {
            // A colour of a palette or of three parts: its numbers are no looks.
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

/// Whether a text may stand in a command line that a shell completes.
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
