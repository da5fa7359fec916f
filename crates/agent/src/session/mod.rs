//! Sessions: commands that outlive their clients, the daemon, and this agent's server.
//!
//! ```text
//!  server ── starts, finds again by sockets ──▶ @banger-session NAME ──▶ command
//!     └─ hands over clients' connections ──────────▲   │
//!                                                      └─▶ sessions/NAME on the VM's disk
//! ```
//!
//! Each session has a *keeper*, a process of its own, small and without a runtime. What the server knows of sessions it asks
//! of them, or reads from the disk where they have ended; it keeps nothing itself, so its death loses nothing.

mod client;
mod command;
mod ending;
mod keeper;
mod log;
mod order;
mod place;
mod screen;
mod shim;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;

use banger_guest_api::session::{LOG_LEAST, NAME_RULE, is_session_name};
use banger_guest_api::{Failure, Session, SessionStart, SessionState, SessionStream};
use rustix::io::retry_on_intr;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use crate::exec::Surroundings;
use crate::failure::{During, refused};
use crate::socket::Socket;
use order::{Answer, Order, ask};
use place::Place;

pub use shim::main as shim_main;

/// How many names are tried for a session that was given none.
const TRIES: u32 = 1000;

/// Why something could not be done with a session.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// There is none of this name.
    Unknown(Failure),
    /// It is not in a state for it.
    Conflict(Failure),
    /// Anything else.
    Other(Failure),
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::Other(failure)
    }
}

fn unknown(name: &str) -> Refusal {
    Refusal::Unknown(refused(format!("there is no session `{name}`")))
}

/// The sessions of a guest.
#[derive(Debug)]
pub(crate) struct Sessions {
    /// The directory of all of them.
    dir: OwnedFd,
    /// Keepers are killed when this thread ends: those of a fake guest.
    end_with_us: bool,
}

impl Sessions {
    pub(crate) fn new(dir: OwnedFd, end_with_us: bool) -> Self {
        Self { dir, end_with_us }
    }

    fn place(&self, name: &str) -> Place {
        Place::new(&self.dir, name)
    }

    /// Every session, by name.
    pub(crate) async fn list(&self) -> Result<Vec<Session>, Refusal> {
        let entries = std::fs::read_dir(Place::new(&self.dir, ".").dir()).during("list the sessions")?;
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut names: Vec<String> = names.filter(|name| is_session_name(name)).collect();
        names.sort();
        let mut sessions = Vec::new();
        for name in names {
            match self.show(&name).await {
                Ok(session) => sessions.push(session),
                // One that is being started, or removed.
                Err(Refusal::Unknown(_)) => {}
                Err(refusal) => return Err(refusal),
            }
        }
        Ok(sessions)
    }

    /// One session.
    pub(crate) async fn show(&self, name: &str) -> Result<Session, Refusal> {
        self.done(name, &Order::Describe).await
    }

    /// One session, when it has ended.
    pub(crate) async fn wait(&self, name: &str) -> Result<Session, Refusal> {
        self.done(name, &Order::Wait).await
    }

    /// Delivers a signal.
    pub(crate) async fn signal(&self, name: &str, signal: i32) -> Result<Session, Refusal> {
        let session = self.done(name, &Order::Signal(signal)).await?;
        if session.state.is_live() {
            return Ok(session);
        }
        let word = session.state.as_str();
        Err(Refusal::Conflict(refused(format!("session `{name}` has {word}"))))
    }

    /// Ends a session; one that has ended is let be.
    pub(crate) async fn stop(&self, name: &str, grace_ms: u64) -> Result<Session, Refusal> {
        self.done(name, &Order::Stop(grace_ms)).await
    }

    /// Asks the keeper, or gives the session as it ended.
    async fn done(&self, name: &str, order: &Order) -> Result<Session, Refusal> {
        match self.ask(name, order, None).await? {
            Ok(Answer::Done(session)) => Ok(*session),
            Ok(Answer::Refused(failure)) => Err(Refusal::Conflict(failure)),
            Ok(Answer::Taken) => Err(refused("unexpected answer from the session's keeper").into()),
            Err(session) => Ok(session),
        }
    }

    /// Asks a session's keeper. Where there is none any more, gives the session as it ended.
    async fn ask(
        &self,
        name: &str,
        order: &Order,
        connection: Option<&OwnedFd>,
    ) -> Result<Result<Answer, Session>, Refusal> {
        if !is_session_name(name) {
            return Err(unknown(name));
        }
        let place = self.place(name);
        let reach = format!("reach the keeper of session `{name}`");
        if let Some(keeper) = reach_keeper(&place).during(&reach)?
            && let Some(answer) = ask(keeper, order, connection).await.during(&reach)?
        {
            return Ok(Ok(answer));
        }
        // It has ended, before or just now.
        let record = place
            .record()
            .during(format!("read the record of session `{name}`"))?;
        let mut session = record.ok_or_else(|| unknown(name))?;
        if session.state.is_live() {
            session.state = SessionState::Lost;
            session.pid = None;
        }
        Ok(Err(session))
    }

    /// Starts a session. Its directory, its programs and its name are looked at first.
    pub(crate) async fn start(
        &self,
        start: SessionStart,
        surroundings: Surroundings,
    ) -> Result<Session, Refusal> {
        if start.log_max < LOG_LEAST {
            return Err(refused(format!("a log needs at least {LOG_LEAST} bytes")).into());
        }
        preflight(&start, &surroundings)?;
        let name = self.reserve(&start).await?;
        let order = Order::Begin {
            name: name.clone(),
            start: Box::new(start),
            surroundings,
        };
        let begun = match shim::start(&self.dir, &name, self.end_with_us) {
            Ok(keeper) => ask(keeper, &order, None).await,
            Err(error) => Err(error),
        };
        let failure = match begun.during("start the session's keeper") {
            Ok(Some(Answer::Done(session))) => return Ok(*session),
            Ok(Some(Answer::Refused(failure))) | Err(failure) => failure,
            Ok(Some(Answer::Taken) | None) => {
                refused("the session's keeper ended before the session started")
            }
        };
        // Nothing runs in it.
        let _ = std::fs::remove_dir_all(self.place(&name).dir());
        Err(failure.into())
    }

    /// Makes the directory of a new session: whoever makes it has the name.
    async fn reserve(&self, start: &SessionStart) -> Result<String, Refusal> {
        if let Some(name) = &start.name {
            if !is_session_name(name) {
                return Err(refused(format!("invalid session name `{name}`: use {NAME_RULE}")).into());
            }
            if self.make(name).await? {
                return Ok(name.clone());
            }
            return Err(Refusal::Conflict(refused(format!(
                "session `{name}` already exists"
            ))));
        }
        let stem = stem(&start.exec.argv);
        for number in 1..TRIES {
            let name = if number == 1 {
                stem.clone()
            } else {
                format!("{stem}-{number}")
            };
            if self.make(&name).await? {
                return Ok(name);
            }
        }
        Err(refused(format!("failed to find a free name that begins with `{stem}`")).into())
    }

    /// False when the name is taken.
    async fn make(&self, name: &str) -> Result<bool, Refusal> {
        let place = self.place(name);
        let made = std::fs::DirBuilder::new().mode(0o700).create(place.dir());
        match made {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => {
                made.during(format!("create the directory of session `{name}`"))?;
                return Ok(true);
            }
        }
        // One that a server left behind which was killed before the session was started.
        let is_left = place.record().is_ok_and(|record| record.is_none())
            && reach_keeper(&place).is_ok_and(|keeper| keeper.is_none());
        if is_left {
            std::fs::remove_dir_all(place.dir()).during("remove a session that was not started")?;
            std::fs::create_dir(place.dir()).during(format!("create the directory of session `{name}`"))?;
        }
        Ok(is_left)
    }

    /// Forgets a session that has ended, with its output.
    pub(crate) async fn remove(&self, name: &str) -> Result<Session, Refusal> {
        let session = self.show(name).await?;
        if session.state.is_live() {
            return Err(Refusal::Conflict(refused(format!("session `{name}` is running"))));
        }
        std::fs::remove_dir_all(self.place(name).dir()).during(format!("remove session `{name}`"))?;
        Ok(session)
    }

    /// Whether a session can be joined: what can be said before its frames begin.
    pub(crate) async fn can_be_joined(&self, name: &str) -> Result<(), Refusal> {
        self.show(name).await.map(drop)
    }

    /// Hands a client over to a session's keeper; to a new one, where it has ended.
    pub(crate) async fn join(
        &self,
        name: &str,
        connection: OwnedFd,
        stream: SessionStream,
        sent: Vec<u8>,
    ) -> Result<(), Refusal> {
        let order = Order::Stream {
            stream: stream.clone(),
            sent: sent.clone(),
        };
        if let Ok(_answer) = self.ask(name, &order, Some(&connection)).await? {
            return Ok(());
        }
        let order = Order::Recall {
            name: name.to_owned(),
            stream,
            sent,
        };
        let keeper = shim::start(&self.dir, name, self.end_with_us).during("recover the session")?;
        let answered = ask(keeper, &order, Some(&connection)).await;
        match answered.during("recover the session")? {
            Some(Answer::Taken) => Ok(()),
            Some(Answer::Refused(failure)) => Err(failure.into()),
            Some(Answer::Done(_)) | None => Err(refused("failed to recover the session").into()),
        }
    }
}

/// What the command needs is there, or it is said what is not.
fn preflight(start: &SessionStart, surroundings: &Surroundings) -> Result<(), Failure> {
    let missing = crate::exec::missing(&start.exec, surroundings, &start.require)?;
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = missing.iter().map(|name| format!("`{name}`")).collect();
    Err(refused(format!("there is no program {}", names.join(" and no "))))
}

/// The beginning of a name for a session that was given none.
fn stem(argv: &[String]) -> String {
    let program = argv.first().map_or("shell", String::as_str);
    let base = program.rsplit('/').next().unwrap_or_default();
    let text: String = base
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .take(40)
        .collect();
    if text.is_empty() {
        "session".to_owned()
    } else {
        text
    }
}

/// A connection to a session's keeper; nothing when it has none.
fn reach_keeper(place: &Place) -> io::Result<Option<Socket>> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    let address = SocketAddrUnix::new(place.socket())?;
    match retry_on_intr(|| connect(socket.as_fd(), &address)) {
        Ok(()) => Ok(Some(Socket::new(socket)?)),
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::CONNREFUSED) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_named_after_its_program() {
        let stem_of = |argv: &[&str]| stem(&argv.iter().map(|&arg| arg.to_owned()).collect::<Vec<_>>());
        assert_eq!(stem_of(&["/usr/bin/make", "test"]), "make");
        assert_eq!(stem_of(&["./x-y.sh"]), "xysh");
        assert_eq!(
            (stem_of(&[]), stem_of(&["…"])),
            ("shell".into(), "session".into())
        );
        assert!(is_session_name(&stem_of(&[&"x".repeat(100)])));
    }
}
