//! The terminal of the client, while a guest uses it.

use std::io::IsTerminal;

use crate::print;
use banger_api::stream::{TerminalSize, Tty};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

/// A terminal in raw mode, which is restored on drop.
#[derive(Debug)]
pub struct Raw {
    before: Option<Termios>,
}

impl Raw {
    /// Switches standard input to raw mode, if it is a terminal.
    pub fn enter() -> Self {
        let stdin = rustix::stdio::stdin();
        let before = tcgetattr(stdin).ok();
        if let Some(before) = &before {
            let mut raw = before.clone();
            raw.make_raw();
            // A terminal that refuses raw mode is used unchanged.
            let _ = tcsetattr(stdin, OptionalActions::Now, &raw);
        }
        Self { before }
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, before);
        }
    }
}

/// Whether standard input and output are terminals.
pub fn is_interactive() -> bool {
    std::io::stdin().is_terminal() && print::stream::stdout().is_terminal()
}

/// The terminal type and size for the guest: ours, or a common default.
pub fn tty() -> Tty {
    Tty {
        term: std::env::var("TERM").unwrap_or_else(|_| "xterm-256color".to_owned()),
        size: size().unwrap_or(TerminalSize { rows: 24, cols: 80 }),
    }
}

/// The size of our terminal.
pub fn size() -> Option<TerminalSize> {
    let size = tcgetwinsize(rustix::stdio::stdout())
        .or_else(|_| tcgetwinsize(rustix::stdio::stdin()))
        .ok()?;
    (size.ws_row > 0).then_some(TerminalSize {
        rows: size.ws_row,
        cols: size.ws_col,
    })
}
