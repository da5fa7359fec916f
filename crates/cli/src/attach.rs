//! This terminal, joined to a session that goes on without it.

use std::io::{self, IsTerminal, Read, Write};
use std::str::FromStr;
use std::time::Duration;

use banger_api::client::{Received, Receiver, Session};
use banger_api::stream::Control;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::failure::Failure;
use crate::session::{self, Outgoing};
use crate::terminal::{self, Raw};

/// Bytes of input read at once.
const CHUNK: usize = 64 << 10;

/// How long the session may take to say that it has all that was typed.
const FAREWELL: Duration = Duration::from_secs(5);

/// What makes a terminal usual again that programs of the session have changed: attributes, cursor, scrolling, keypad, paste,
/// mouse. What it showed stays.
const USUAL: &[u8] =
    b"\x1b[m\x1b[?25h\x1b[r\x1b[?1l\x1b>\x1b[?2004l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[0 q";

/// How it ended.
pub(crate) enum Left {
    /// The session did, with this exit code.
    Ended(i32),
    /// We left, and the session goes on.
    Detached,
}

/// Keys that leave a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Keys(Vec<u8>);

impl Default for Keys {
    fn default() -> Self {
        Self(vec![0x1d])
    }
}

impl FromStr for Keys {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let keys: Option<Vec<u8>> = text.split(',').map(key).collect();
        keys.map(Self)
            .ok_or_else(|| format!("`{text}` are no keys: write ctrl-] or ctrl-p,ctrl-q or other characters"))
    }
}

fn key(text: &str) -> Option<u8> {
    let (ctrl, name) = match text.to_ascii_lowercase().strip_prefix("ctrl-") {
        Some(name) => (true, name.to_owned()),
        None => (false, text.to_owned()),
    };
    let &[byte] = name.as_bytes() else { return None };
    match byte.to_ascii_uppercase() {
        // The control characters of ASCII are those of the columns four and five, without these bits.
        upper @ b'@'..=b'_' if ctrl => Some(upper & 0x1f),
        _ if !ctrl && byte.is_ascii() => Some(byte),
        _ => None,
    }
}

/// Looks for the keys that leave in what is typed.
struct Typed {
    keys: Vec<u8>,
    /// How many of them have been typed and are held back.
    matched: usize,
}

impl Typed {
    /// What is to be sent, and whether the keys came.
    fn hear(&mut self, bytes: &[u8]) -> (Vec<u8>, bool) {
        let mut out = Vec::with_capacity(bytes.len());
        for &byte in bytes {
            if byte != self.keys[self.matched] {
                out.extend_from_slice(&self.keys[..self.matched]);
                self.matched = 0;
            }
            if byte == self.keys[self.matched] {
                self.matched += 1;
            } else {
                out.push(byte);
            }
            if self.matched == self.keys.len() {
                return (out, true);
            }
        }
        (out, false)
    }
}

/// Shows a session, and sends what is typed, until one of them leaves.
pub(crate) async fn run(
    joined: Session,
    has_terminal: bool,
    writes: bool,
    keys: &Keys,
) -> Result<Left, Failure> {
    let (outgoing, queue) = mpsc::channel(4);
    let (leave, mut leaves) = mpsc::channel(1);
    tokio::spawn(session::send(joined.sender, queue));
    let raw = (has_terminal && io::stdin().is_terminal()).then(Raw::enter);
    if writes || raw.is_some() {
        let to = writes.then(|| outgoing.clone());
        let keys = raw.is_some().then(|| keys.0.clone());
        std::thread::spawn(move || type_in(keys, to.as_ref(), &leave));
    } else {
        // Nothing is read; signals alone leave it.
        std::mem::forget(leave);
    }
    let left = attend(joined.receiver, &outgoing, &mut leaves, writes && has_terminal).await;
    if raw.is_some() {
        let mut stdout = io::stdout();
        let _ = stdout.write_all(USUAL).and_then(|()| stdout.write_all(b"\r\n"));
        let _ = stdout.flush();
    }
    drop(raw);
    left
}

async fn attend(
    mut from: Receiver,
    outgoing: &mpsc::Sender<Outgoing>,
    leaves: &mut mpsc::Receiver<()>,
    resizes: bool,
) -> Result<Left, Failure> {
    let take = |kind| signal(kind).map_err(|error| Failure::during("take signals", &error));
    let mut resized = take(SignalKind::window_change())?;
    let mut interrupted = take(SignalKind::interrupt())?;
    let mut terminated = take(SignalKind::terminate())?;
    let mut screen = Alternate::default();
    loop {
        tokio::select! {
            received = from.next() => {
                if let Some(left) = shown(received?, &mut screen)? {
                    screen.leave();
                    return Ok(left);
                }
            }
            _ = resized.recv(), if resizes => {
                if let Some(size) = terminal::size() {
                    let _ = outgoing.send(Outgoing::Control(Control::Resize { size })).await;
                }
            }
            Some(()) = leaves.recv() => break,
            _ = interrupted.recv() => break,
            _ = terminated.recv() => break,
        }
    }
    // What was typed before is delivered first; a command that does not read it does not keep us.
    let farewell = async {
        let _ = outgoing.send(Outgoing::Control(Control::Leave)).await;
        loop {
            match from.next().await {
                Ok(Some(Received::Control(Control::Left { .. }))) | Ok(None) | Err(_) => return,
                Ok(Some(_)) => {}
            }
        }
    };
    let _ = tokio::time::timeout(FAREWELL, farewell).await;
    screen.leave();
    Ok(Left::Detached)
}

/// Shows what came; says so when it was the last.
fn shown(received: Option<Received>, screen: &mut Alternate) -> Result<Option<Left>, Failure> {
    let written = match received {
        None => {
            return Err(Failure::new(
                "the connection to the session was lost",
                &["the session runs on if its VM does: attach to it again"],
            ));
        }
        Some(Received::Stdout(bytes)) => {
            screen.watch(&bytes);
            write(io::stdout().lock(), &bytes)
        }
        Some(Received::Stderr(bytes)) => write(io::stderr().lock(), &bytes),
        Some(Received::Control(control)) => match control {
            Control::Exit { status } => return Ok(Some(Left::Ended(status.shell_code()))),
            Control::Left { .. } => return Ok(Some(Left::Detached)),
            Control::Error { failure, exit_code } => {
                let hints = [
                    "watch with --read-only; write beside others with --shared, or in their place with --take",
                ];
                let hints = if failure.message.contains("another client") {
                    &hints[..]
                } else {
                    &[]
                };
                return Err(Failure::new(failure.message, hints).exiting(exit_code));
            }
            // A screen is painted anew after it; other output says what is missing.
            Control::Gap { bytes, .. } if !screen.is_shown => {
                eprintln!("note: {bytes} bytes of output are gone");
                Ok(())
            }
            _ => Ok(()),
        },
    };
    // Nobody reads what we show.
    Ok(written.is_err().then_some(Left::Detached))
}

/// Whether the terminal shows its alternate screen, as editors use it.
#[derive(Default)]
struct Alternate {
    is_shown: bool,
    /// The end of what was shown, for a sequence that comes in two pieces.
    tail: Vec<u8>,
}

impl Alternate {
    const SEQUENCE: &[u8] = b"\x1b[?1049";

    fn watch(&mut self, bytes: &[u8]) {
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

    /// Back to the screen that was there before.
    fn leave(&self) {
        if self.is_shown && io::stdout().is_terminal() {
            let _ = write(io::stdout().lock(), b"\x1b[?1049l");
        }
    }
}

/// Reads what is typed, on a thread: it may never end.
fn type_in(keys: Option<Vec<u8>>, to: Option<&mpsc::Sender<Outgoing>>, leave: &mpsc::Sender<()>) {
    let mut typed = keys.map(|keys| Typed { keys, matched: 0 });
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = match io::stdin().lock().read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            // Input that cannot be read is as good as ended.
            Err(_) => break,
        };
        let (bytes, leaves) = match &mut typed {
            Some(typed) => typed.hear(&chunk[..read]),
            None => (chunk[..read].to_vec(), false),
        };
        // Who only watches types nothing; an interrupt is meant for us.
        let leaves = leaves || (to.is_none() && bytes.contains(&3));
        if let Some(to) = to
            && !bytes.is_empty()
            && to.blocking_send(Outgoing::Input(bytes)).is_err()
        {
            break;
        }
        if leaves {
            let _ = leave.blocking_send(());
            return;
        }
    }
    // The end of our input is not that of the session's: `session send --end` is.
    std::thread::park();
}

fn write(mut to: impl Write, bytes: &[u8]) -> io::Result<()> {
    to.write_all(bytes)?;
    to.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_written_as_people_say_them() {
        let bytes = |text: &str| text.parse::<Keys>().map(|keys| keys.0);
        assert_eq!(bytes("ctrl-]"), Ok(vec![0x1d]));
        assert_eq!(bytes("ctrl-p,ctrl-Q"), Ok(vec![0x10, 0x11]));
        assert_eq!(bytes("~,."), Ok(vec![b'~', b'.']));
        for wrong in ["", "ctrl-", "ctrl-ä", "ab", "ctrl-a,,b"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_typed_passes_but_for_the_keys() {
        let mut typed = Typed {
            keys: vec![0x10, 0x11],
            matched: 0,
        };
        assert_eq!(typed.hear(b"ab\x10"), (b"ab".to_vec(), false));
        assert_eq!(typed.hear(b"c"), (b"\x10c".to_vec(), false));
        assert_eq!(typed.hear(b"\x10\x10"), (b"\x10".to_vec(), false));
        assert_eq!(typed.hear(b"\x11rest"), (Vec::new(), true));
    }

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
