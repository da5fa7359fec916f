//! The connection to the root helper, and its start where the daemon itself is root.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use banger_root::{CallError, Client};
use tokio::sync::Notify;

use super::{Error, INSTALL, socket_of};
use crate::error::chain;
use crate::programs;

/// The helper of this user.
#[derive(Debug)]
pub(super) struct Helper {
    owner: u32,
    socket: Option<PathBuf>,
    connection: Mutex<Option<Client>>,
    /// How many there were: a new one may be to a new helper.
    connections: AtomicU64,
    /// Told when one was made: who waits for a helper need not wait any more.
    stirred: Arc<Notify>,
}

impl Helper {
    pub(super) fn new(home: bool) -> Self {
        let owner = rustix::process::geteuid().as_raw();
        Self {
            owner,
            socket: socket_of(home, owner),
            connection: Mutex::default(),
            connections: AtomicU64::new(0),
            stirred: Arc::default(),
        }
    }

    /// The user whose helper it is.
    pub(super) const fn owner(&self) -> u32 {
        self.owner
    }

    /// Its socket, if this daemon may use one.
    pub(super) fn socket(&self) -> Option<&Path> {
        self.socket.as_deref()
    }

    /// Told whenever there is news of the helper: that it is there, or that it has a network.
    pub(super) const fn stirred(&self) -> &Arc<Notify> {
        &self.stirred
    }

    /// How many connections there were so far.
    pub(super) fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Sees to it that a helper answers. Root starts one where there is none; it outlives this daemon, as VMs do.
    pub(super) fn ensure(&self) -> Result<(), Error> {
        self.connect(Absent::Start)
    }

    fn connect(&self, absent: Absent) -> Result<(), Error> {
        let Some(socket) = &self.socket else {
            return Err(Error::None {
                reason: "with BANGER_HOME there is no root helper unless BANGER_ROOT_SOCKET names its socket"
                    .to_owned(),
                hint: INSTALL,
            });
        };
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        if connection.is_some() {
            return Ok(());
        }
        let none = |reason| Error::None {
            reason,
            hint: INSTALL,
        };
        let connected = match Client::connect(socket) {
            Err(_) if self.owner == 0 && absent == Absent::Start => {
                start(socket).map_err(none)?;
                Client::connect(socket)
            }
            connected => connected,
        };
        *connection = Some(connected.map_err(|error| none(chain(&error)))?);
        self.connections.fetch_add(1, Ordering::Relaxed);
        self.stirred.notify_one();
        Ok(())
    }

    /// Calls the helper.
    pub(super) fn call<T>(
        &self,
        what: &'static str,
        call: impl Fn(&mut Client) -> Result<T, CallError>,
    ) -> Result<T, Error> {
        self.call_or(Absent::Start, what, call)
    }

    /// Calls the helper if one answers; none is started.
    pub(super) fn call_if_there<T>(
        &self,
        what: &'static str,
        call: impl Fn(&mut Client) -> Result<T, CallError>,
    ) -> Option<Result<T, Error>> {
        match self.call_or(Absent::Leave, what, call) {
            Err(Error::None { .. }) => None,
            called => Some(called),
        }
    }

    /// A connection that broke, because the helper was restarted, is made once more: every verb says what shall be, so
    /// saying it twice is no harm.
    fn call_or<T>(
        &self,
        absent: Absent,
        what: &'static str,
        call: impl Fn(&mut Client) -> Result<T, CallError>,
    ) -> Result<T, Error> {
        let once = || {
            self.connect(absent)?;
            let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
            let result = match connection.as_mut() {
                Some(client) => call(client),
                None => Err(CallError::Closed),
            };
            if matches!(result, Err(CallError::Exchange(_) | CallError::Closed)) {
                *connection = None;
            }
            Ok::<_, Error>(result)
        };
        let result = match once()? {
            Err(CallError::Exchange(_) | CallError::Closed) => once()?,
            result => result,
        };
        result.map_err(|source| Error::Helper { what, source })
    }
}

/// What is done when no helper answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Absent {
    /// Root starts one.
    Start,
    /// It stays so.
    Leave,
}

/// Starts the helper, and returns when it serves.
fn start(socket: &Path) -> Result<(), String> {
    let dir = socket.parent().unwrap_or(Path::new("/"));
    let state = match dir == Path::new("/run/banger-root") {
        true => PathBuf::from("/var/lib/banger-root/0"),
        false => dir.join("state"),
    };
    let program = programs::beside_us("banger-root");
    let started = || -> std::io::Result<bool> {
        std::fs::create_dir_all(&state)?;
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(state.with_extension("log"))?;
        let mut command = Command::new(&program);
        command
            // It takes nothing from whoever started this daemon.
            .env_clear()
            .args(["serve", "--owner", "0", "--socket-dir"])
            .arg(dir)
            .arg("--state-dir")
            .arg(&state)
            .stdin(File::open("/dev/null")?)
            .stdout(Stdio::piped())
            .stderr(log)
            // Not of our group, so that what ends us does not end it.
            .process_group(0);
        let mut child = command.spawn()?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        // Whoever ends first, nobody waits for it any more then.
        std::thread::spawn(move || child.wait());
        Ok(line.trim() == "ready")
    };
    match started() {
        Ok(true) => Ok(()),
        Ok(false) => Err(format!(
            "the root helper did not start; {} tells why",
            state.with_extension("log").display()
        )),
        Err(error) => Err(format!("{} cannot be started: {error}", program.display())),
    }
}
