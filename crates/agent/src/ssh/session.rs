//! A session's channel: what was asked for, then a command, a shell or a subsystem.

use std::collections::BTreeMap;
use std::os::unix::net::UnixStream as StdStream;
use std::path::Path;
use std::rc::Rc;

use banger_guest_api::{Channel as Kind, Control, Decoder, Exec, ExitStatus, TerminalSize, Tty, frame};
use banger_ssh::{Exit, Request, Stream, Terminal};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;

use super::agent::AgentSocket;
use super::busy::Busy;
use super::link::{Channel, Gone, Link};
use super::{line, sftp};
use crate::exec::account::Account;
use crate::exec::{Modes, Order, Surroundings, run_here};

/// Bytes that are read from a command at once.
const CHUNK: usize = 64 << 10;

/// Variables that a client may set, and bytes of all of them.
const MOST_VARIABLES: usize = 256;
const MOST_BYTES: usize = 64 << 10;

/// What OpenSSH's server says of a connection without addresses: theirs with its port, ours with its port.
const HERE: [(&str, &str); 2] = [
    ("SSH_CLIENT", "UNKNOWN 65535 65535"),
    ("SSH_CONNECTION", "UNKNOWN 65535 UNKNOWN 65535"),
];

/// Who the client is, and what all of its sessions share.
pub(super) struct User {
    pub(super) account: Account,
    pub(super) surroundings: Surroundings,
    pub(super) link: Rc<Link>,
    pub(super) busy: Rc<Busy>,
}

/// One session.
pub(super) struct Session {
    channel: Channel,
    user: Rc<User>,
    variables: BTreeMap<String, String>,
    terminal: Option<Terminal>,
    agent: Option<AgentSocket>,
    /// Once something runs: what is said to it.
    controls: Option<mpsc::UnboundedSender<Control>>,
}

impl Session {
    pub(super) fn new(channel: Channel, user: Rc<User>) -> Self {
        Self {
            channel,
            user,
            variables: BTreeMap::new(),
            terminal: None,
            agent: None,
            controls: None,
        }
    }

    /// Does what the client asks for; whether it could be done.
    pub(super) fn request(&mut self, request: Request) -> bool {
        match request {
            Request::Resize { columns, rows } => self.control(Control::Resize {
                size: size(columns, rows),
            }),
            Request::Signal(name) => {
                signal(&name).is_some_and(|signal| self.control(Control::Signal { signal }))
            }
            // One session runs one thing.
            _ if self.controls.is_some() => false,
            Request::Terminal(terminal) => {
                self.terminal = Some(terminal);
                true
            }
            Request::Variable { name, value } => self.set(name, value),
            Request::Agent => match AgentSocket::new(&self.user.link) {
                Ok(socket) => {
                    self.agent = Some(socket);
                    true
                }
                Err(error) => {
                    eprintln!("banger: failed to forward an SSH agent: {error}");
                    false
                }
            },
            Request::Shell => self.run(Exec::default(), Vec::new()),
            Request::Command(line) => self.command(line),
            Request::Subsystem(name) if name == "sftp" => self.sftp(),
            Request::Subsystem(_) | Request::Unknown => false,
        }
    }

    fn control(&self, control: Control) -> bool {
        self.controls
            .as_ref()
            .is_some_and(|controls| controls.send(control).is_ok())
    }

    fn set(&mut self, name: String, value: String) -> bool {
        let bytes: usize = self
            .variables
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum();
        let fits = self.variables.len() < MOST_VARIABLES && bytes + name.len() + value.len() <= MOST_BYTES;
        let is_variable = !name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0');
        if fits && is_variable {
            self.variables.insert(name, value);
        }
        fits && is_variable
    }

    /// Runs a line by the user's shell; where there is none at all, the program that the line names.
    fn command(&mut self, line: Vec<u8>) -> bool {
        let shells = [self.user.account.shell.as_deref(), Some("/bin/sh")];
        let shell = shells
            .into_iter()
            .flatten()
            .find(|shell| Path::new(shell).exists());
        if let Some(shell) = shell {
            let exec = Exec {
                argv: vec![shell.to_owned(), "-c".to_owned()],
                ..Exec::default()
            };
            return self.run(exec, line::arguments(shell, line));
        }
        let words = String::from_utf8(line).ok().and_then(|line| shlex::split(&line));
        let Some(argv) = words.filter(|words| !words.is_empty()) else {
            return false;
        };
        let exec = Exec {
            argv,
            ..Exec::default()
        };
        self.run(exec, Vec::new())
    }

    fn run(&mut self, mut exec: Exec, last: Vec<Vec<u8>>) -> bool {
        let Ok((ours, theirs)) = pair() else {
            return false;
        };
        exec.user = Some(self.user.account.name.clone());
        exec.env = std::mem::take(&mut self.variables);
        // Programs tell by them that they are used from elsewhere. There is no address to name.
        for (name, value) in HERE {
            exec.env
                .entry(name.to_owned())
                .or_insert_with(|| value.to_owned());
        }
        let agent = self.agent.take();
        if let Some(socket) = &agent {
            let path = socket.path().to_string_lossy().into_owned();
            exec.env.insert("SSH_AUTH_SOCK".to_owned(), path);
        }
        let (tty, modes) = match self.terminal.take() {
            Some(terminal) => {
                let size = size(terminal.columns, terminal.rows);
                let term = terminal.kind;
                (Some(Tty { size, term }), Some(Modes(terminal.modes)))
            }
            None => (None, None),
        };
        exec.tty = tty;
        let order = Order {
            exec,
            modes,
            surroundings: self.user.surroundings.clone(),
            last,
            sent: Vec::new(),
        };
        let busy = self.user.busy.one_more();
        let (done, over) = tokio::sync::oneshot::channel::<()>();
        std::thread::spawn(move || {
            run_here(theirs.into(), order);
            drop(done);
        });
        let (controls, said) = mpsc::unbounded_channel();
        self.controls = Some(controls);
        let channel = self.channel.clone();
        tokio::task::spawn_local(async move {
            attend(channel, ours, said).await;
            // Until all of its output is taken or thrown away.
            let _ = over.await;
            drop((busy, agent));
        });
        true
    }

    fn sftp(&mut self) -> bool {
        let Ok((ours, theirs)) = pair() else {
            return false;
        };
        let (controls, _) = mpsc::unbounded_channel();
        self.controls = Some(controls);
        let home = self.user.account.home.clone();
        std::thread::spawn(move || sftp::serve(theirs, Path::new(&home)));
        let channel = self.channel.clone();
        tokio::task::spawn_local(async move {
            channel.relay(ours).await;
            channel.exit(Exit::Code(0));
            channel.close();
        });
        true
    }
}

/// A connection between our tasks and a thread that blocks.
fn pair() -> std::io::Result<(UnixStream, StdStream)> {
    let (ours, theirs) = StdStream::pair()?;
    ours.set_nonblocking(true)?;
    Ok((UnixStream::from_std(ours)?, theirs))
}

/// Carries a command's frames, to its end.
async fn attend(channel: Channel, frames: UnixStream, controls: mpsc::UnboundedReceiver<Control>) {
    let (from, to) = frames.into_split();
    let input = async {
        // When the client leaves, the command hears it by the end of its frames.
        let _ = give(&channel, to, controls).await;
        std::future::pending::<()>().await
    };
    let output = async {
        let exit = take(&channel, from).await;
        if let Ok(exit) = exit {
            channel.end();
            channel.exit(exit);
        }
        channel.close();
    };
    tokio::select! {
        () = input => {}
        () = output => {}
    }
}

/// What goes to the command, until its client leaves.
async fn give(
    channel: &Channel,
    mut to: OwnedWriteHalf,
    mut controls: mpsc::UnboundedReceiver<Control>,
) -> Result<(), Gone> {
    let mut ended = false;
    loop {
        let frames = tokio::select! {
            biased;
            Some(control) = controls.recv() => frame::encode_control(&control),
            bytes = channel.read(), if !ended => match bytes? {
                Some(bytes) => {
                    let header = frame::header(Kind::Stdin, bytes.len());
                    let written = async {
                        to.write_all(&header).await?;
                        to.write_all(&bytes).await
                    };
                    tokio::select! {
                        written = written => written.map_err(|_| Gone)?,
                        gone = channel.gone() => return Err(gone),
                    }
                    channel.consumed(bytes);
                    continue;
                }
                None => {
                    ended = true;
                    frame::encode(Kind::Stdin, &[])
                }
            },
            gone = channel.gone(), if ended => return Err(gone),
        };
        tokio::select! {
            written = to.write_all(&frames) => written.map_err(|_| Gone)?,
            gone = channel.gone() => return Err(gone),
        }
    }
}

/// What comes from the command; gives how it ended.
async fn take(channel: &Channel, mut from: OwnedReadHalf) -> Result<Exit, Gone> {
    let mut decoder = Decoder::new();
    let mut buffer = vec![0; CHUNK];
    loop {
        while let Some(frame) = decoder.next_frame().map_err(|_| Gone)? {
            match frame.channel {
                Kind::Stdout => channel.write(Stream::Data, frame.payload).await?,
                Kind::Stderr => channel.write(Stream::Stderr, frame.payload).await?,
                Kind::Control => match serde_json::from_slice(frame.payload) {
                    Ok(Control::Exit { status }) => return Ok(exit(status)),
                    Ok(Control::Error { failure, exit_code }) => {
                        let mut words = format!("banger: {}", failure.message);
                        for cause in failure.causes {
                            words.push_str(&format!(": {cause}"));
                        }
                        words.push_str("\r\n");
                        channel.write(Stream::Stderr, words.as_bytes()).await?;
                        return Ok(Exit::Code(u32::try_from(exit_code).unwrap_or(255)));
                    }
                    _ => {}
                },
                Kind::Stdin => {}
            }
        }
        match from.read(&mut buffer).await {
            Ok(read) if read > 0 => decoder.extend(&buffer[..read]),
            Ok(_) | Err(_) => return Err(Gone),
        }
    }
}

fn size(columns: u32, rows: u32) -> TerminalSize {
    TerminalSize {
        rows: u16::try_from(rows).unwrap_or(u16::MAX),
        cols: u16::try_from(columns).unwrap_or(u16::MAX),
    }
}

/// The signals that SSH knows (RFC 4254, section 6.10).
const SIGNALS: [(&str, i32); 13] = [
    ("ABRT", libc::SIGABRT),
    ("ALRM", libc::SIGALRM),
    ("FPE", libc::SIGFPE),
    ("HUP", libc::SIGHUP),
    ("ILL", libc::SIGILL),
    ("INT", libc::SIGINT),
    ("KILL", libc::SIGKILL),
    ("PIPE", libc::SIGPIPE),
    ("QUIT", libc::SIGQUIT),
    ("SEGV", libc::SIGSEGV),
    ("TERM", libc::SIGTERM),
    ("USR1", libc::SIGUSR1),
    ("USR2", libc::SIGUSR2),
];

fn signal(name: &str) -> Option<i32> {
    SIGNALS
        .iter()
        .find_map(|&(known, signal)| (known == name).then_some(signal))
}

fn exit(status: ExitStatus) -> Exit {
    match status {
        ExitStatus::Code(code) => Exit::Code(u32::try_from(code).unwrap_or(255)),
        ExitStatus::Signal(signal) => SIGNALS
            .iter()
            .find_map(|&(name, known)| (known == signal).then_some(Exit::Signal(name)))
            .unwrap_or(Exit::Code(u32::try_from(status.shell_code()).unwrap_or(255))),
    }
}
