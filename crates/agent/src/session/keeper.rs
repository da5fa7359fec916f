//! A session's own process: one thread that owns command, log and terminal, and waits for whatever happens to them.
//!
//! ```text
//!  server ──orders──▶ socket ─┐                        ┌─▶ log on the disk
//!  client ◀──frames──▶ ───────┤  keeper: one poll(2)  ─┤
//!  command ──output──▶ ───────┘                        └─▶ screen
//! ```
//!
//! Nobody is waited for: output goes to the log as it comes, and clients read it from there. The keeper ends when its
//! command has and the last client has seen so. It is told of no client's or server's end but by their closed connections.

mod clients;
mod orders;

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use banger_guest_api::{
    Failure, OutputStream, Restart, Session, SessionStart, SessionState, SessionStream, Writing,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::Signal;

use self::orders::Caller;
use super::client::Client;
use super::command::{Command, End};
use super::ending::Ending;
use super::log::{CHUNK, Log};
use super::order::Answer;
use super::place::Place;
use super::screen::Screen;
use crate::clock::now_us;
use crate::exec::Surroundings;
use crate::failure::{During, refused};

/// How long after its end a command is started again, at first; twice as long each time that it fails again, up to the most.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// A command that ran as long as this has not failed in a row.
const LONG_RUN: Duration = Duration::from_secs(60);

/// What a session's command is started from, again if need be.
#[derive(Debug)]
pub(super) struct Recipe {
    pub(super) start: SessionStart,
    pub(super) surroundings: Surroundings,
}

/// A keeper.
#[derive(Debug)]
pub(super) struct Keeper {
    place: Place,
    session: Session,
    log: Log,
    /// Nothing when the session is recalled.
    recipe: Option<Recipe>,
    screen: Option<Screen>,
    command: Option<Command>,
    /// Nothing when it takes no orders.
    listener: Option<UnixListener>,
    ending: Ending,
    callers: Vec<Caller>,
    clients: Vec<Client>,
    /// Someone wants it to end, or the guest does: it is not started again.
    is_to_end: bool,
    kill_at: Option<Instant>,
    again_at: Option<Instant>,
    in_a_row: u32,
    since: Instant,
    buffer: Vec<u8>,
}

/// What something that happened belongs to.
#[derive(Debug, Clone, Copy)]
enum Source {
    Listener,
    Ending,
    Process,
    Output(usize),
    Input,
    Caller(usize),
    Client(usize),
}

impl Keeper {
    /// Begins a session in its directory, which is there: its command runs, and its record says so.
    pub(super) fn begin(place: Place, name: String, recipe: Recipe) -> Result<Self, Failure> {
        let ending = Ending::watch().during("install signal handlers")?;
        let Recipe { start, surroundings } = &recipe;
        let exec = &start.exec;
        let log = Log::create(&place.log(), start.log_max).during("create the session's log")?;
        let listener = UnixListener::bind(place.socket()).during("listen for requests")?;
        listener.set_nonblocking(true).during("listen for requests")?;
        let command = Command::start(exec, start.stdin, surroundings)?;
        let session = Session {
            name,
            argv: exec.argv.clone(),
            cwd: exec.cwd.clone().unwrap_or_else(|| "~".to_owned()),
            user: exec.user.clone(),
            tty: exec.tty.is_some(),
            stdin: start.stdin,
            restart: start.restart,
            state: SessionState::Running,
            pid: Some(command.pid()),
            started_ms: now_us() / 1000,
            ended_ms: None,
            exit: None,
            restarts: 0,
            usage: None,
            log: log.extent(),
            clients: 0,
            is_written_to: false,
        };
        if let Err(error) = place.keep(&session).and_then(|()| place.settle()) {
            command.signal(Signal::KILL);
            return Err(error).during("write the session's record");
        }
        let screen = exec.tty.as_ref().map(|tty| Screen::new(tty.size));
        Ok(Self {
            screen,
            command: Some(command),
            listener: Some(listener),
            recipe: Some(recipe),
            ..Self::idle(place, session, log, ending)
        })
    }

    /// Brings a session back that has ended, for one client.
    pub(super) fn recall(
        place: Place,
        connection: OwnedFd,
        stream: &SessionStream,
        sent: &[u8],
    ) -> Result<Self, Failure> {
        let ending = Ending::watch().during("install signal handlers")?;
        let session = place.record().during("read the session's record")?;
        let session = session.ok_or_else(|| refused("the session has no record"))?;
        let log =
            Log::open(&place.log(), session.log.max, session.log.lost).during("read the session's log")?;
        let mut keeper = Self::idle(place, session, log, ending);
        keeper.serve(connection, stream, sent);
        Ok(keeper)
    }

    fn idle(place: Place, session: Session, log: Log, ending: Ending) -> Self {
        Self {
            place,
            session,
            log,
            recipe: None,
            screen: None,
            command: None,
            listener: None,
            ending,
            callers: Vec::new(),
            clients: Vec::new(),
            is_to_end: false,
            kill_at: None,
            again_at: None,
            in_a_row: 0,
            since: Instant::now(),
            buffer: vec![0; CHUNK],
        }
    }

    /// The session as it is.
    pub(super) fn describe(&self) -> Session {
        Session {
            log: self.log.extent(),
            clients: self.clients.len() as u32,
            is_written_to: self.clients.iter().any(|client| client.writes != Writing::No),
            ..self.session.clone()
        }
    }

    /// Attends to everything, until there is nothing more to attend to.
    pub(super) fn run(mut self) {
        while self.has_something_to_do() {
            for (source, what) in self.wait() {
                self.attend(source, what);
            }
            self.look_at_the_clock();
            self.hear_clients();
            self.send_to_clients();
            self.clients.retain(|client| !client.is_over());
            self.callers.retain(|caller| !caller.is_done);
        }
    }

    fn has_something_to_do(&self) -> bool {
        self.is_live() || !self.clients.is_empty() || !self.callers.is_empty()
    }

    fn is_live(&self) -> bool {
        self.command.is_some() || self.again_at.is_some()
    }

    /// Waits until something happens, or until a time comes.
    fn wait(&self) -> Vec<(Source, PollFlags)> {
        let mut sources = Vec::new();
        let mut fds = Vec::new();
        let mut watch = |source, fd, what: PollFlags| {
            if !what.is_empty() {
                sources.push(source);
                fds.push(PollFd::from_borrowed_fd(fd, what));
            }
        };
        if let Some(listener) = &self.listener {
            watch(Source::Listener, listener.as_fd(), PollFlags::IN);
        }
        watch(Source::Ending, self.ending.0.as_fd(), PollFlags::IN);
        if let Some(command) = &self.command {
            if command.end.is_none() {
                watch(Source::Process, command.process.as_fd(), PollFlags::IN);
            }
            for (index, (_, output)) in command.outputs.iter().enumerate() {
                if let Some(output) = output {
                    watch(Source::Output(index), output.as_fd(), PollFlags::IN);
                }
            }
            if let Some(input) = &command.input
                && self.clients.iter().any(Client::has_input)
            {
                watch(Source::Input, input.as_fd(), PollFlags::OUT);
            }
        }
        for (index, caller) in self.callers.iter().enumerate() {
            watch(Source::Caller(index), caller.connection.as_fd(), PollFlags::IN);
        }
        for (index, client) in self.clients.iter().enumerate() {
            let mut what = PollFlags::RDHUP;
            what.set(PollFlags::IN, client.is_heard());
            what.set(PollFlags::OUT, client.awaits_output(&self.log));
            watch(Source::Client(index), client.connection.as_fd(), what);
        }
        let timeout = self.deadline().map(|deadline| {
            let left = deadline.saturating_duration_since(Instant::now());
            // A little late rather than a little early, and again.
            Timespec::try_from(left + Duration::from_millis(1)).unwrap_or_default()
        });
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            // It has no memory for it. That passes.
            Err(_) => std::thread::sleep(Duration::from_millis(100)),
        }
        let happened = fds.iter().map(PollFd::revents);
        sources
            .into_iter()
            .zip(happened)
            .filter(|(_, what)| !what.is_empty())
            .collect()
    }

    fn deadline(&self) -> Option<Instant> {
        let command = self.command.as_ref().and_then(Command::deadline);
        let clients = self.clients.iter().filter_map(Client::deadline);
        clients
            .chain(command)
            .chain(self.kill_at)
            .chain(self.again_at)
            .min()
    }

    fn attend(&mut self, source: Source, what: PollFlags) {
        match source {
            Source::Listener => self.accept(),
            Source::Ending => {
                self.ending.take();
                self.is_to_end = true;
            }
            Source::Process => {
                if let Some(command) = &mut self.command {
                    command.reap();
                }
            }
            Source::Output(index) => self.take_output(index),
            Source::Input => self.give_input(),
            Source::Caller(index) => self.take_order(index),
            Source::Client(index) => {
                let client = &mut self.clients[index];
                if what.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR | PollFlags::RDHUP) {
                    client.hear();
                }
            }
        }
    }

    /// Reads output of the command, once, into the log.
    fn take_output(&mut self, index: usize) {
        let Some(command) = &mut self.command else { return };
        let Some((stream, Some(output))) = command.outputs.get(index) else {
            return;
        };
        let stream = *stream;
        match rustix::io::read(output, &mut self.buffer) {
            Ok(read) if read > 0 => {
                let bytes = &self.buffer[..read];
                self.log.append(stream, now_us(), bytes);
                if let Some(screen) = &mut self.screen {
                    screen.show(bytes);
                }
                command.was_heard(read as u64);
            }
            Err(Errno::INTR | Errno::AGAIN) => {}
            // Its end; a terminal whose last user has gone says EIO.
            Ok(_) | Err(_) => command.outputs[index].1 = None,
        }
    }

    fn look_at_the_clock(&mut self) {
        let now = Instant::now();
        if self.kill_at.is_some_and(|at| now >= at) {
            self.kill_at = None;
            if let Some(command) = &self.command {
                command.signal(Signal::KILL);
            }
        }
        if let Some(end) = self.command.as_ref().and_then(Command::is_over) {
            self.command_has_ended(end);
        }
        if self.again_at.is_some_and(|at| now >= at || self.is_to_end) {
            self.again_at = None;
            if self.is_to_end {
                self.end();
            } else {
                self.start_again();
            }
        }
    }

    fn command_has_ended(&mut self, end: End) {
        self.command = None;
        self.kill_at = None;
        self.session.pid = None;
        self.session.exit = Some(end.status);
        self.session.usage = Some(end.usage);
        let failed = end.status.shell_code() != 0;
        let ran = self.since.elapsed();
        let limit = self.recipe.as_ref().map_or(0, |recipe| recipe.start.max_restarts);
        if ran >= LONG_RUN {
            self.in_a_row = 0;
        }
        if !failed || self.is_to_end || self.session.restart == Restart::Never || self.in_a_row >= limit {
            return self.end();
        }
        let pause = FIRST_PAUSE
            .saturating_mul(1 << self.in_a_row.min(16))
            .min(LONGEST_PAUSE);
        self.in_a_row += 1;
        self.again_at = Some(Instant::now() + pause);
        self.session.state = SessionState::Restarting;
        self.keep();
    }

    fn start_again(&mut self) {
        let Some(recipe) = &self.recipe else { return };
        self.since = Instant::now();
        match Command::start(&recipe.start.exec, recipe.start.stdin, &recipe.surroundings) {
            Ok(command) => {
                self.session.restarts += 1;
                self.session.pid = Some(command.pid());
                self.session.state = SessionState::Running;
                self.command = Some(command);
                self.keep();
            }
            // What could be started could not be again: its directory or program is gone.
            Err(failure) => {
                let words = format!("banger: {}\n", failure.message);
                self.log.append(OutputStream::Stderr, now_us(), words.as_bytes());
                self.end();
            }
        }
    }

    /// The session is over: its record says how, whoever waits is told, and no order is taken any more.
    fn end(&mut self) {
        // Input that it did not take.
        self.give_input();
        self.session.state = SessionState::Exited;
        self.session.ended_ms = Some(now_us() / 1000);
        self.log.sync();
        if let Some(screen) = &self.screen
            && let Err(error) = self.place.keep_screen(&screen.paint())
        {
            eprintln!(
                "banger: failed to store the screen of session {}: {error}",
                self.session.name
            );
        }
        self.keep();
        self.listener = None;
        let _ = std::fs::remove_file(self.place.socket());
        let answer = Answer::Done(Box::new(self.describe()));
        for caller in self.callers.drain(..).filter(|caller| caller.waits_for_end) {
            caller.answer(&answer);
        }
    }

    fn keep(&mut self) {
        self.session.log = self.log.extent();
        // A disk that is full now may have room at the next change; the session goes on.
        if let Err(error) = self.place.keep(&self.session) {
            eprintln!(
                "banger: failed to store the record of session {}: {error}",
                self.session.name
            );
        }
    }
}
