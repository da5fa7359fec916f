//! One command from its start to its last frame, in a process of its own.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use banger_guest_api::{Channel, Control, Decoder, ExitStatus, FrameError};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group};

use super::Order;
use super::command::{Prepared, Refusal, prepare};
use super::pump::{Sender, pump};
use super::terminal::Terminal;
use crate::socket::Blocking;

/// Bytes read from the client at once.
const CHUNK: usize = 128 << 10;

/// The byte that ends input on a terminal in its usual mode: Ctrl-D.
const END_OF_INPUT: u8 = 4;

/// How long a client may go on sending after it was told the end.
const FAREWELL: Duration = Duration::from_secs(5);

/// Runs the ordered command on `connection`, and returns when the last frame is sent. False when something of it is
/// still going on in this process, which must then end.
pub(super) fn run(connection: Blocking, order: Order) -> bool {
    let connection = Arc::new(connection);
    let sender = Sender::new(&connection);
    match start(&order) {
        Ok(running) => running.attend(&connection, &sender, order.sent),
        Err(refusal) => {
            // A client that is gone does not hear it; the command is over all the same.
            let _ = sender.control(&refusal.control());
            connection.end();
            Listener::spawn(move || read_to_end(&connection, |_| true)).has_ended()
        }
    }
}

/// A started command and our ends of its streams.
struct Running {
    child: Child,
    group: Pid,
    input: Option<Input>,
    terminal: Option<Terminal>,
    outputs: Vec<(Channel, OwnedFd)>,
}

enum Input {
    Pipe(OwnedFd),
    Terminal(OwnedFd),
}

fn start(order: &Order) -> Result<Running, Refusal> {
    let mut prepared = prepare(&order.exec, &order.last, &order.surroundings)?;
    let spawned = spawn(order, &mut prepared);
    let Prepared { program, cwd, .. } = prepared;
    let (child, terminal, outputs, input) =
        spawned.map_err(|error| Refusal::of_spawn(&program, &cwd, error))?;
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    Ok(Running {
        group: group.expect("a child's id is a positive number"),
        child,
        input,
        terminal,
        outputs,
    })
}

type Streams = (Child, Option<Terminal>, Vec<(Channel, OwnedFd)>, Option<Input>);

fn spawn(order: &Order, prepared: &mut Prepared) -> io::Result<Streams> {
    let command = &mut prepared.command;
    if let Some(tty) = &order.exec.tty {
        let terminal = Terminal::open(command, tty.size)?;
        if let Some(modes) = &order.modes {
            modes.apply(&terminal.ours)?;
            command.env("SSH_TTY", OsStr::from_bytes(terminal.name.as_bytes()));
        }
        let child = command.spawn()?;
        // Our copies of the command's side must go, or its end would never be seen.
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let output = rustix::io::fcntl_dupfd_cloexec(&terminal.ours, 3)?;
        let input = rustix::io::fcntl_dupfd_cloexec(&terminal.ours, 3)?;
        rustix::io::ioctl_fionbio(&input, true)?;
        return Ok((
            child,
            Some(terminal),
            vec![(Channel::Stdout, output)],
            Some(Input::Terminal(input)),
        ));
    }
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    // SAFETY: setsid(2) is async-signal-safe.
    unsafe {
        command.pre_exec(|| rustix::process::setsid().map(drop).map_err(Into::into));
    }
    let mut child = command.spawn()?;
    let input = child.stdin.take().map(OwnedFd::from);
    if let Some(input) = &input {
        // Ours alone: the command's end of the pipe has flags of its own.
        rustix::io::ioctl_fionbio(input, true)?;
    }
    let input = input.map(Input::Pipe);
    let stdout = child
        .stdout
        .take()
        .map(|pipe| (Channel::Stdout, OwnedFd::from(pipe)));
    let stderr = child
        .stderr
        .take()
        .map(|pipe| (Channel::Stderr, OwnedFd::from(pipe)));
    Ok((child, None, stdout.into_iter().chain(stderr).collect(), input))
}

impl Running {
    /// Moves bytes and signals until the command has ended, its output is sent, and the client was told.
    fn attend(mut self, connection: &Arc<Blocking>, sender: &Sender<'_>, sent: Vec<u8>) -> bool {
        let pid = self.child.id();
        let _ = sender.control(&Control::Started { pid });
        let hands = Arc::new(Hands {
            group: self.group,
            input: Mutex::new(self.input),
            over: AtomicBool::new(false),
            terminal: self.terminal,
        });
        let (ears, heard) = (Arc::clone(&hands), Arc::clone(connection));
        let listener = Listener::spawn(move || ears.listen(&heard, &sent));
        let status = output_and_end(&mut self.child, &self.outputs, sender);
        hands.over();
        let _ = sender.control(&Control::Exit { status });
        connection.end();
        listener.has_ended()
    }
}

/// Sends the command's output and waits for its end.
fn output_and_end(child: &mut Child, outputs: &[(Channel, OwnedFd)], sender: &Sender<'_>) -> ExitStatus {
    let lost = ExitStatus::Signal(Signal::KILL.as_raw());
    let Ok((alive, ended)) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC) else {
        return lost;
    };
    let alive = &alive;
    let status = std::thread::scope(|scope| {
        for (channel, from) in outputs {
            scope.spawn(move || pump(from, *channel, sender, alive));
        }
        let status = child.wait();
        drop(ended);
        status
    });
    let Ok(status) = status else { return lost };
    let signal = || ExitStatus::Signal(status.signal().unwrap_or_default());
    status.code().map_or_else(signal, ExitStatus::Code)
}

/// The thread that hears what the client sends. That goes on after the last frame, until the client hangs up: on a
/// connection that is closed with something unread, the last frames may be lost.
struct Listener(mpsc::Receiver<()>);

impl Listener {
    fn spawn(listen: impl FnOnce() + Send + 'static) -> Self {
        let (listening, silent) = mpsc::channel::<()>();
        std::thread::spawn(move || {
            listen();
            drop(listening);
        });
        Self(silent)
    }

    /// Whether the client hung up in time.
    fn has_ended(&self) -> bool {
        self.0.recv_timeout(FAREWELL) == Err(RecvTimeoutError::Disconnected)
    }
}

/// Gives `hear` what the client sends, until it hangs up or `hear` says that it is enough.
fn read_to_end(connection: &Blocking, mut hear: impl FnMut(&[u8]) -> bool) {
    let mut buffer = vec![0; CHUNK];
    loop {
        match (&mut &*connection).read(&mut buffer) {
            Ok(0) => return,
            Ok(read) if hear(&buffer[..read]) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(_) | Err(_) => return,
        }
    }
}

/// What the client's frames can move.
struct Hands {
    group: Pid,
    input: Mutex<Option<Input>>,
    /// The command has ended: its process group's number may be another's soon.
    over: AtomicBool,
    terminal: Option<Terminal>,
}

impl Hands {
    /// Does what the client's frames say, until there are no more; then the command is hung up on.
    fn listen(&self, connection: &Blocking, sent: &[u8]) {
        let mut decoder = Decoder::new();
        decoder.extend(sent);
        // A stream that is not of frames cannot be understood again: as good as closed.
        if self.obey(&mut decoder, connection).is_ok() {
            read_to_end(connection, |bytes| {
                decoder.extend(bytes);
                self.obey(&mut decoder, connection).is_ok()
            });
        }
        self.lock().take();
        self.signal(Signal::HUP);
    }

    /// The command has ended; nothing reaches it any more.
    fn over(&self) {
        self.over.store(true, Ordering::SeqCst);
        // A listener that is stuck in giving input to what the command left behind holds the lock.
        if let Ok(mut input) = self.input.try_lock() {
            input.take();
        }
    }

    fn signal(&self, signal: Signal) {
        if !self.over.load(Ordering::SeqCst) {
            let _ = kill_process_group(self.group, signal);
        }
    }

    fn obey(&self, decoder: &mut Decoder, client: &Blocking) -> Result<(), FrameError> {
        while let Some(frame) = decoder.next_frame()? {
            match frame.channel {
                Channel::Stdin => self.feed(frame.payload, client),
                Channel::Control => self.control(frame.payload),
                // Only we send these; a client that does so is ignored.
                Channel::Stdout | Channel::Stderr => {}
            }
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Input>> {
        self.input.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the command input. No more of it is read from the client until the command took this, so that it piles
    /// up nowhere. An empty frame is the end of input.
    fn feed(&self, bytes: &[u8], client: &Blocking) {
        let mut input = self.lock();
        let fed = match &*input {
            None => return,
            Some(Input::Pipe(_)) if bytes.is_empty() => Err(io::ErrorKind::WriteZero.into()),
            Some(Input::Pipe(pipe)) => give(pipe, bytes, client),
            Some(Input::Terminal(terminal)) if bytes.is_empty() => give(terminal, &[END_OF_INPUT], client),
            Some(Input::Terminal(terminal)) => give(terminal, bytes, client),
        };
        // The end, a command that reads no more, or a client that is gone: the pipe is closed.
        if fed.is_err() {
            input.take();
        }
    }

    fn control(&self, payload: &[u8]) {
        match serde_json::from_slice(payload) {
            Ok(Control::Resize { size }) => {
                if let Some(terminal) = &self.terminal {
                    let _ = terminal.resize(size);
                }
            }
            Ok(Control::Signal { signal }) => {
                if let Some(signal) = Signal::from_named_raw(signal) {
                    self.signal(signal);
                }
            }
            // The guest's own words, and words of a newer host: nothing to do.
            Ok(
                Control::Started { .. }
                | Control::Exit { .. }
                | Control::Gap { .. }
                | Control::At { .. }
                | Control::Leave
                | Control::Left { .. }
                | Control::Error { .. },
            )
            | Err(_) => {}
        }
    }
}

/// Gives the command all of `bytes`, unless the client hangs up meanwhile: a command that reads nothing must not keep
/// us from noticing.
fn give(to: &OwnedFd, mut bytes: &[u8], client: &Blocking) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(to, bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => wait_for_room(to, client)?,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn wait_for_room(to: &OwnedFd, client: &Blocking) -> io::Result<()> {
    let mut fds = [
        PollFd::new(to, PollFlags::OUT),
        PollFd::from_borrowed_fd(client.as_fd(), PollFlags::RDHUP),
    ];
    match poll(&mut fds, None) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    if fds[1].revents().is_empty() {
        Ok(())
    } else {
        Err(io::ErrorKind::ConnectionReset.into())
    }
}
