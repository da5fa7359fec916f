//! Runs a command in a guest with this process's standard streams.

use std::io::{self, Read, Write};

use banger_api::stream::{Control, Exec};
use banger_api::user_env;
use banger_client::{Client, Received, Receiver, Sender, Session};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::failure::Failure;
use crate::print;
use crate::terminal::{self, Raw};

/// Bytes of input read at once; at most four chunks are in flight.
const CHUNK: usize = 256 << 10;

/// Signals that are forwarded to a command without a terminal.
const FORWARDED: [i32; 4] = [
    libc_signal::INT,
    libc_signal::TERM,
    libc_signal::HUP,
    libc_signal::QUIT,
];

/// Signal numbers of Linux (signal(7)); those above are the same on every architecture.
mod libc_signal {
    pub(super) const HUP: i32 = 1;
    pub(super) const INT: i32 = 2;
    pub(super) const QUIT: i32 = 3;
    pub(super) const TERM: i32 = 15;
}

/// Messages to the guest.
pub(crate) enum Outgoing {
    /// Input of the command.
    Input(Vec<u8>),
    /// End of input.
    EndOfInput,
    /// Other control messages.
    Control(Control),
}

/// Standard input of a command.
pub enum Input {
    /// Nothing.
    None,
    /// Our own standard input.
    Ours,
    /// These bytes.
    Bytes(Vec<u8>),
}

/// Runs `exec` in the VM and returns its exit code, as a shell would.
pub async fn run(client: &Client, vm: &str, exec: &Exec, input: Input) -> Result<i32, Failure> {
    let exec = Exec {
        user_env: user_env::of_process(exec.tty.is_some()),
        ..exec.clone()
    };
    let session = client
        .exec(vm, &exec)
        .await
        .map_err(|error| Failure::from(error).before_command())?;
    attend_to(vm, session, exec.tty.is_some(), input).await
}

/// Connects a started command to this process's streams, and returns its exit code.
pub async fn attend_to(vm: &str, session: Session, has_terminal: bool, input: Input) -> Result<i32, Failure> {
    let (outgoing, queue) = mpsc::channel(4);
    tokio::spawn(send(session.sender, queue));
    let to = outgoing.clone();
    match input {
        Input::None => drop(to.send(Outgoing::EndOfInput).await),
        Input::Ours => drop(std::thread::spawn(move || read_input(io::stdin().lock(), &to))),
        Input::Bytes(bytes) => drop(std::thread::spawn(move || read_input(&bytes[..], &to))),
    }
    let raw = has_terminal.then(Raw::enter);
    let code = attend(vm, session.receiver, outgoing, has_terminal).await;
    drop(raw);
    code
}

/// Writes the guest's output and forwards signals until the command has ended.
async fn attend(
    vm: &str,
    mut from: Receiver,
    outgoing: mpsc::Sender<Outgoing>,
    has_terminal: bool,
) -> Result<i32, Failure> {
    let mut signals = Signals::listen(has_terminal)
        .map_err(|error| Failure::during("failed to listen for signals", &error))?;
    loop {
        let received = tokio::select! {
            received = from.next() => received?,
            control = signals.next() => {
                // If the guest does not read input, the queue stays full, and the signal waits behind the input.
                let _ = outgoing.send(Outgoing::Control(control)).await;
                continue;
            }
        };
        let written = match received {
            None => return Err(lost(vm)),
            Some(Received::Stdout(bytes)) => write(print::stream::stdout().lock(), &bytes),
            Some(Received::Stderr(bytes)) => write(print::stream::stderr().lock(), &bytes),
            Some(Received::Control(control)) => match control {
                Control::Exit { status } => return Ok(status.shell_code()),
                Control::Error { failure, exit_code } => {
                    let refusal = match failure.causes.first() {
                        Some(cause) => Failure::during(failure.message, &io::Error::other(cause.clone())),
                        None => Failure::new(failure.message, &[]),
                    };
                    return Err(refusal.exiting(exit_code));
                }
                Control::Gap { bytes, .. } => {
                    print::notice!("note: {bytes} bytes of output were lost");
                    Ok(())
                }
                Control::Started { .. }
                | Control::Resize { .. }
                | Control::Signal { .. }
                | Control::At { .. }
                | Control::Leave
                | Control::Left { .. } => Ok(()),
            },
        };
        match written {
            Ok(()) => {}
            // Who reads our output has seen enough: so has the command.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(128 + 13),
            Err(error) => return Err(Failure::during("failed to write the command's output", &error)),
        }
    }
}

fn lost(vm: &str) -> Failure {
    let hint = format!(
        "`banger vm list` shows whether the VM is running, `banger vm logs {vm}` prints its console log"
    );
    Failure::new(
        "the connection to the guest's command was lost before it ended",
        &[&hint],
    )
    .before_command()
}

fn write(mut to: impl Write, bytes: &[u8]) -> io::Result<()> {
    to.write_all(bytes)?;
    to.flush()
}

/// Sends queued messages. A guest that accepts no more has ended; the receiving direction reports how.
async fn send(mut to: Sender, mut queue: mpsc::Receiver<Outgoing>) {
    while let Some(outgoing) = queue.recv().await {
        if deliver(&mut to, outgoing).await.is_err() {
            return;
        }
    }
}

/// Sends one message.
pub(crate) async fn deliver(to: &mut Sender, outgoing: Outgoing) -> io::Result<()> {
    match outgoing {
        Outgoing::Input(bytes) => to.stdin(&bytes).await,
        Outgoing::EndOfInput => to.end_stdin().await,
        Outgoing::Control(control) => to.control(&control).await,
    }
}

/// Reads the input on a thread, because the read may never return.
fn read_input(mut from: impl Read, to: &mpsc::Sender<Outgoing>) {
    loop {
        let mut chunk = vec![0; CHUNK];
        match from.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => {
                chunk.truncate(read);
                if to.blocking_send(Outgoing::Input(chunk)).is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // An error of the input counts as its end.
            Err(_) => break,
        }
    }
    let _ = to.blocking_send(Outgoing::EndOfInput);
}

/// Signals of this process, as messages for the guest.
struct Signals {
    forwarded: Vec<(i32, Signal)>,
    resized: Option<Signal>,
}

impl Signals {
    fn listen(has_terminal: bool) -> io::Result<Self> {
        if has_terminal {
            // A terminal in raw mode sends keys, not signals.
            return Ok(Self {
                forwarded: Vec::new(),
                resized: Some(signal(SignalKind::window_change())?),
            });
        }
        let forwarded = FORWARDED
            .into_iter()
            .map(|number| Ok((number, signal(SignalKind::from_raw(number))?)));
        Ok(Self {
            forwarded: forwarded.collect::<io::Result<_>>()?,
            resized: None,
        })
    }

    async fn next(&mut self) -> Control {
        std::future::poll_fn(|context| {
            use std::task::Poll;
            for (number, signal) in &mut self.forwarded {
                if signal.poll_recv(context).is_ready() {
                    return Poll::Ready(Control::Signal { signal: *number });
                }
            }
            if let Some(resized) = &mut self.resized
                && resized.poll_recv(context).is_ready()
                && let Some(size) = terminal::size()
            {
                return Poll::Ready(Control::Resize { size });
            }
            Poll::Pending
        })
        .await
    }
}
