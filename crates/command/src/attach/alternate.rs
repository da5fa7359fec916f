//! Tracks whether a terminal shows its alternate screen, to leave that screen at the end.

use crate::print;
use std::io::{IsTerminal, Write};

/// State of the alternate screen, which editors use.
#[derive(Default)]
pub(super) struct Alternate {
    pub(super) is_shown: bool,
    /// The last bytes of output, for a sequence that arrives in two pieces.
    tail: Vec<u8>,
}

impl Alternate {
    const SEQUENCE: &[u8] = b"\x1b[?1049";

    pub(super) fn watch(&mut self, bytes: &[u8]) {
        self.tail.extend_from_slice(bytes);
        let found = self
            .tail
            .windows(Self::SEQUENCE.len() + 1)
            .rev()
            .find_map(|window| {
                let last = window.strip_prefix(Self::SEQUENCE)?;
                match last {
                    b"h" => Some(true),
                    b"l" => Some(false),
                    _ => None,
                }
            });
        self.is_shown = found.unwrap_or(self.is_shown);
        let keep = self.tail.len().min(Self::SEQUENCE.len());
        self.tail.drain(..self.tail.len() - keep);
    }

    /// Returns to the normal screen.
    pub(super) fn leave(&self) {
        if self.is_shown && print::stream::stdout().is_terminal() {
            let mut stdout = print::stream::stdout();
            let _ = stdout.write_all(b"\x1b[?1049l").and_then(|()| stdout.flush());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alternate_screen_is_seen_in_pieces() {
        let mut screen = Alternate::default();
        screen.watch(b"text\x1b[?10");
        screen.watch(b"49h more");
        assert!(screen.is_shown);
        screen.watch(b"\x1b[?1049l\x1b[?1049h\x1b[?1049l");
        assert!(!screen.is_shown);
    }
}
