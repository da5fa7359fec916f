//! What comes from the guest, as this terminal shows it.

use std::io::{self, Write};

use banger_api::stream::{self, Control, FailureCode};
use banger_client::Received;

use super::alternate::Alternate;
use crate::failure::Failure;
use crate::print;

/// Escape sequences that reset a terminal which programs of the session have changed: attributes, cursor, scrolling,
/// keypad, paste, mouse. The text on the screen stays, and so does the cursor position, which resetting the scrolling
/// region would move (DECSTBM).
pub(super) const USUAL: &[u8] =
    b"\x1b[m\x1b[?25h\x1b7\x1b[r\x1b8\x1b[?1l\x1b>\x1b[?2004l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[0 q";

/// How a connection ended.
pub enum Left {
    /// The session ended, with this exit code.
    Ended(i32),
    /// The client detached; the session keeps running.
    Detached,
    /// The connection ended; the state of the session is unknown.
    Lost,
}

/// The output printed so far.
#[derive(Default)]
pub(super) struct Shown {
    pub(super) screen: Alternate,
    /// The cursor of what comes next.
    pub(super) next: Option<u64>,
}

impl Shown {
    /// Prints what was received. Returns how the connection ended if it did.
    pub(crate) fn show(&mut self, received: Received) -> Result<Option<Left>, Failure> {
        let written = match received {
            Received::Stdout(bytes) => {
                self.screen.watch(&bytes);
                self.pass(bytes.len() as u64);
                write(print::stream::stdout().lock(), &bytes)
            }
            Received::Stderr(bytes) => {
                self.pass(bytes.len() as u64);
                write(print::stream::stderr().lock(), &bytes)
            }
            Received::Control(control) => match control {
                Control::Exit { status } => return Ok(Some(Left::Ended(status.shell_code()))),
                Control::Left { .. } => return Ok(Some(Left::Detached)),
                Control::Error { failure, exit_code } => return Err(refused(failure, exit_code)),
                Control::At { cursor, .. } => {
                    self.next = Some(cursor);
                    Ok(())
                }
                Control::Gap { bytes, .. } => {
                    self.pass(bytes);
                    // A screen is repainted after a gap; for other output, the gap is reported.
                    if !self.screen.is_shown {
                        print::notice!("note: {bytes} bytes of output are missing");
                    }
                    Ok(())
                }
                _ => Ok(()),
            },
        };
        // Our output is closed.
        Ok(written.is_err().then_some(Left::Detached))
    }

    fn pass(&mut self, bytes: u64) {
        self.next = self.next.map(|next| next + bytes);
    }
}

pub(super) fn write(mut to: impl Write, bytes: &[u8]) -> io::Result<()> {
    to.write_all(bytes)?;
    to.flush()
}

fn refused(failure: stream::Failure, exit_code: i32) -> Failure {
    let hints: &[&str] = match failure.code {
        Some(FailureCode::WrittenByAnother) => {
            &["watch with --read-only, write together with --shared, or take over with --take"]
        }
        _ => &[],
    };
    Failure::new(failure.message, hints).exiting(exit_code)
}
