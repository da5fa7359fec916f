//! Attaches this terminal to a session, which outlives the terminal, over one connection or several in a row.

mod alternate;
mod keys;
mod shown;

use std::io::{self, IsTerminal, Read};
use std::pin::pin;
use std::time::Duration;

use banger_api::stream::Control;
use banger_client::{ClientError, Received, Receiver, Sender, Session};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use self::keys::Typed;
use self::shown::{Shown, USUAL, write};
use crate::failure::Failure;
use crate::print;
use crate::session::{self, Outgoing};
use crate::terminal::{self, Raw};

pub use self::keys::Keys;
pub use self::shown::Left;

/// Bytes of input read at once.
const CHUNK: usize = 64 << 10;

/// Time for the session to confirm that it has received all input.
const FAREWELL: Duration = Duration::from_secs(5);

/// The client side of an attached session, which lives through reconnects.
pub struct Attachment {
    shown: Shown,
    leaves: Leaves,
    resized: Option<Signal>,
    outgoing: mpsc::Sender<Outgoing>,
    /// Typed input. It waits here while there is no connection.
    queue: mpsc::Receiver<Outgoing>,
    raw: Option<Raw>,
}

impl Attachment {
    /// Starts to read typed input. `writes` is false for a client that only watches.
    pub fn begin(has_terminal: bool, writes: bool, keys: &Keys) -> Result<Self, Failure> {
        let (outgoing, queue) = mpsc::channel(4);
        let (leave, typed) = mpsc::channel(1);
        let resized = (writes && has_terminal).then(|| listen(SignalKind::window_change()));
        let leaves = Leaves {
            typed,
            interrupted: listen(SignalKind::interrupt())?,
            terminated: listen(SignalKind::terminate())?,
        };
        let raw = (has_terminal && io::stdin().is_terminal()).then(Raw::enter);
        if writes || raw.is_some() {
            let to = writes.then(|| outgoing.clone());
            let keys = raw.is_some().then(|| keys.0.clone());
            std::thread::spawn(move || type_in(keys, to.as_ref(), &leave));
        }
        Ok(Self {
            shown: Shown::default(),
            leaves,
            resized: resized.transpose()?,
            outgoing,
            queue,
            raw,
        })
    }

    /// The cursor of the next output, if the session has sent one; painted screens have none.
    pub const fn next(&self) -> Option<u64> {
        self.shown.next
    }

    /// Waits for `something`. Returns `None` if the client detaches first.
    pub async fn unless_left<T>(&mut self, something: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            came = something => Some(came),
            () = self.leaves.come() => None,
        }
    }

    /// Prints a message in the middle of the session's output.
    pub fn print(&self, words: &str) {
        if self.raw.is_some() {
            print::aside(words);
        } else {
            print::notice!("{words}");
        }
    }

    /// Prints a session's output and sends typed input until the session ends, the client detaches, or the connection
    /// ends.
    pub async fn join(&mut self, joined: Session) -> Result<Left, Failure> {
        let Session {
            mut sender,
            receiver: mut from,
        } = joined;
        let mut sending = pin!(send(&mut sender, &mut self.queue, &mut self.resized));
        self.shown.next = None;
        loop {
            tokio::select! {
                received = from.next() => match received {
                    Ok(Some(received)) => if let Some(left) = self.shown.show(received)? {
                        return Ok(left);
                    },
                    Err(error @ ClientError::Frame(_)) => return Err(error.into()),
                    Ok(None) | Err(_) => return Ok(Left::Lost),
                },
                () = self.leaves.come() => break,
                () = &mut sending => {}
            }
        }
        tokio::select! {
            _ = tokio::time::timeout(FAREWELL, farewell(&mut from, &self.outgoing)) => {}
            () = sending => {}
        }
        Ok(Left::Detached)
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        self.shown.screen.leave();
        if self.raw.is_some() {
            let _ = write(print::stream::stdout().lock(), &[USUAL, b"\r\n"].concat());
        }
    }
}

/// Detaches. Input typed before is delivered first, but a command that does not read it does not block the client.
async fn farewell(from: &mut Receiver, outgoing: &mpsc::Sender<Outgoing>) {
    let _ = outgoing.send(Outgoing::Control(Control::Leave)).await;
    loop {
        match from.next().await {
            Ok(Some(Received::Control(Control::Left { .. })) | None) | Err(_) => return,
            Ok(Some(_)) => {}
        }
    }
}

/// Events that detach the client.
struct Leaves {
    typed: mpsc::Receiver<()>,
    interrupted: Signal,
    terminated: Signal,
}

impl Leaves {
    async fn come(&mut self) {
        tokio::select! {
            Some(()) = self.typed.recv() => {}
            _ = self.interrupted.recv() => {}
            _ = self.terminated.recv() => {}
        }
    }
}

fn listen(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|error| Failure::during("failed to listen for signals", &error))
}

/// Sends typed input and sizes of this terminal. Never ends.
async fn send(to: &mut Sender, queue: &mut mpsc::Receiver<Outgoing>, sizes: &mut Option<Signal>) {
    loop {
        let outgoing = tokio::select! {
            Some(outgoing) = queue.recv() => outgoing,
            () = resized(sizes) => match terminal::size() {
                Some(size) => Outgoing::Control(Control::Resize { size }),
                None => continue,
            },
        };
        if session::deliver(to, outgoing).await.is_err() {
            // A peer that accepts no input has ended; the receiving direction reports how.
            return std::future::pending().await;
        }
    }
}

async fn resized(resized: &mut Option<Signal>) {
    match resized {
        Some(resized) => drop(resized.recv().await),
        None => std::future::pending().await,
    }
}

/// Reads typed input on a thread, because the read may never return.
fn type_in(keys: Option<Vec<u8>>, to: Option<&mpsc::Sender<Outgoing>>, leave: &mpsc::Sender<()>) {
    let mut typed = keys.map(Typed::of);
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = match io::stdin().lock().read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            // An error of the input counts as its end.
            Err(_) => break,
        };
        let (bytes, leaves) = match &mut typed {
            Some(typed) => typed.hear(&chunk[..read]),
            None => (chunk[..read].to_vec(), false),
        };
        // A client that only watches sends no input, so an interrupt key detaches it.
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
    // The end of our input does not end the session's input: `session send --end` does.
    std::thread::park();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_goes_where_the_cursor_was() {
        let at = |sequence: &str| {
            let mut places = USUAL.windows(sequence.len());
            places.position(|part| part == sequence.as_bytes()).unwrap()
        };
        // Resetting the scrolling region moves the cursor home, so the position is saved and restored around it.
        assert!(at("\x1b7") < at("\x1b[r") && at("\x1b[r") < at("\x1b8"));
        // No other sequence moves the cursor: H, f, d, G, J and K would be final bytes.
        let text = String::from_utf8(USUAL.to_vec()).unwrap();
        for part in text.split('\x1b').filter(|part| part.starts_with('[')) {
            let end = part.chars().last().unwrap();
            assert!("mhlrq".contains(end), "{part:?}");
        }
    }
}
