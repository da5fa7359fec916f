//! What a terminal shows, so that it can be painted for who comes later.

use std::num::NonZeroU16;

use banger_guest_api::TerminalSize;
use vt100::Parser;

/// The most lines and characters in a line. A larger terminal would only take memory.
const MOST: u16 = 1000;

/// A terminal's screen. It keeps no lines that have scrolled away: the log has them.
pub(super) struct Screen(Parser);

impl Screen {
    /// An empty one.
    pub(super) fn new(size: TerminalSize) -> Self {
        let (rows, cols) = bounded(size);
        Self(Parser::new(rows, cols, 0))
    }

    /// Shows output.
    pub(super) fn show(&mut self, bytes: &[u8]) {
        self.0.process(bytes);
    }

    /// Gives it another size.
    pub(super) fn resize(&mut self, size: TerminalSize) {
        let (rows, cols) = bounded(size);
        self.0.screen_mut().set_size(rows, cols);
    }

    /// What makes another terminal of the same size show the same: modes first, because entering the alternate screen clears
    /// it.
    pub(super) fn paint(&self) -> Vec<u8> {
        let screen = self.0.screen();
        let which: &[u8] = if screen.alternate_screen() {
            b"\x1b[?1049h"
        } else {
            b"\x1b[?1049l"
        };
        let mut bytes = [b"\x1b[!p\x1b[r", which].concat();
        bytes.extend_from_slice(screen.state_formatted().as_bytes());
        bytes
    }
}

impl std::fmt::Debug for Screen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Screen").field(&self.0.screen().size()).finish()
    }
}

fn bounded(size: TerminalSize) -> (NonZeroU16, NonZeroU16) {
    let one = |n: u16| NonZeroU16::new(n.min(MOST)).unwrap_or(NonZeroU16::MIN);
    (one(size.rows), one(size.cols))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn size() -> impl Strategy<Value = TerminalSize> {
        (0_u16..50, 0_u16..120).prop_map(|(rows, cols)| TerminalSize { rows, cols })
    }

    /// What programs write, what they should not write, and sizes that change.
    #[derive(Debug, Clone)]
    enum Happening {
        Written(Vec<u8>),
        Resized(TerminalSize),
    }

    fn happening() -> impl Strategy<Value = Happening> {
        let words = prop::sample::select(vec![
            "\x1b[?1049h",
            "\x1b[?1049l",
            "\x1b[2J",
            "\x1b[H",
            "\x1b[7;3H",
            "\x1b[3;5r",
            "\x1b[r",
            "\x1b[31;1m",
            "\x1b[48;5;99m",
            "\x1b[m",
            "\x1b[?25l",
            "\x1b[?25h",
            "\x1b[L",
            "\x1b[2M",
            "\x1b[4P",
            "\x1b[K",
            "\x1bM",
            "\x1b7",
            "\x1b8",
            "\r\n",
            "\t",
            "\x08",
            "text",
            "日本",
            "e\u{301}",
            "\x1b[?2004h",
            "\x1b[?1h",
            "\x1b=",
            "\x1b[65535b",
            "\x1b]0;title\x07",
            "\x1bc",
        ]);
        prop_oneof![
            8 => words.prop_map(|word| Happening::Written(word.as_bytes().to_vec())),
            2 => prop::collection::vec(any::<u8>(), 0..20).prop_map(Happening::Written),
            1 => size().prop_map(Happening::Resized),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        /// Who attaches sees what is there, and the same as who has been there from the beginning.
        #[test]
        fn a_painted_screen_shows_the_same(first in size(), story in prop::collection::vec(happening(), 0..60)) {
            let mut screen = Screen::new(first);
            let mut last = first;
            for happening in &story {
                match happening {
                    Happening::Written(bytes) => screen.show(bytes),
                    Happening::Resized(size) => {
                        screen.resize(*size);
                        last = *size;
                    }
                }
            }
            let mut other = Screen::new(last);
            // Whatever that terminal has shown before.
            other.show(b"\x1b[?1049hsomething else\x1b[5;9r\x1b[41m\x1b[?25l");
            other.show(&screen.paint());
            let (one, other) = (screen.0.screen(), other.0.screen());
            prop_assert_eq!(one.contents(), other.contents());
            prop_assert_eq!(one.alternate_screen(), other.alternate_screen());
            prop_assert_eq!(one.hide_cursor(), other.hide_cursor());
            prop_assert_eq!(one.bracketed_paste(), other.bracketed_paste());
            prop_assert_eq!(one.application_cursor(), other.application_cursor());
            prop_assert_eq!(one.contents_formatted(), other.contents_formatted());
        }
    }
}
