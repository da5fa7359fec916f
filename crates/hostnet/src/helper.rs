//! The connection to a helper, and its start: the root helper's where the daemon itself is root, and that of a network of
//! the user's own, which is the same code.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use banger_api::Paths;
use banger_hostsys::programs;
use banger_model::chain;
use banger_root::{CallError, Client};
use tokio::sync::Notify;

use crate::error::Error;
use crate::namespace::Rootless;
use crate::socket::socket_of;
use crate::way::Way;

/// How a helper is had.
pub(crate) const INSTALL: &str =
    "`sudo banger system install` installs the root helper; see docs/privilege.md";

/// The helper of this user.
#[derive(Debug)]
pub(crate) struct Helper {
    user: u32,
    /// The root helper's socket, if this daemon may have one.
    root: Option<PathBuf>,
    rootless: Rootless,
    line: Mutex<Line>,
    /// How many there were: a new one may be to a new helper.
    connections: AtomicU64,
    /// Told when one was made, each to its helper: who waits for that need not wait any more.
    stirred: [Arc<Notify>; 2],
}

/// Which helper is called, and the connection to it.
#[derive(Debug)]
struct Line {
    way: Way,
    client: Option<Client>,
}

impl Helper {
    pub(crate) fn new(home: bool, paths: &Paths) -> Self {
        let user = rustix::process::geteuid().as_raw();
        let rootless = Rootless::new(paths);
        Self {
            user,
            root: socket_of(home, user),
            line: Mutex::new(Line {
                // An earlier daemon's VMs may be in it.
                way: if rootless.is_there() {
                    Way::Rootless
                } else {
                    Way::Helper
                },
                client: None,
            }),
            rootless,
            connections: AtomicU64::new(0),
            stirred: Default::default(),
        }
    }

    /// The user whose helper it is.
    pub(crate) const fn user(&self) -> u32 {
        self.user
    }

    /// The root helper's socket, if this daemon may have one.
    pub(crate) fn root(&self) -> Option<&Path> {
        self.root.as_deref()
    }

    /// The network of the user's own, which may not be there.
    pub(crate) const fn rootless(&self) -> &Rootless {
        &self.rootless
    }

    /// Which helper is called.
    pub(crate) fn way(&self) -> Way {
        self.line().way
    }

    /// Calls another helper from now on.
    pub(crate) fn take(&self, way: Way) {
        let mut line = self.line();
        if line.way != way {
            *line = Line { way, client: None };
        }
    }

    /// What differs when what a helper gave before is of no use any more.
    pub(crate) fn network(&self) -> (Way, u64) {
        match self.way() {
            Way::Helper => (Way::Helper, 0),
            Way::Rootless => (Way::Rootless, self.rootless.made()),
        }
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Told whenever there is news of a helper: that it is there, or that it has a network.
    pub(crate) const fn stirred(&self, way: Way) -> &Arc<Notify> {
        let [helper, rootless] = &self.stirred;
        match way {
            Way::Helper => helper,
            Way::Rootless => rootless,
        }
    }

    /// How many connections there were so far.
    pub(crate) fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Sees to it that a helper answers. Root starts one where there is none, and every user one of their own; it outlives
    /// this daemon, as VMs do.
    pub(crate) fn ensure(&self) -> Result<(), Error> {
        self.connect(Absent::Start)
    }

    fn connect(&self, absent: Absent) -> Result<(), Error> {
        let mut line = self.line();
        if line.client.is_some() {
            return Ok(());
        }
        let client = match line.way {
            Way::Helper => self.connect_root(absent),
            Way::Rootless => self.connect_rootless(absent),
        };
        line.client = Some(client?);
        self.connections.fetch_add(1, Ordering::Relaxed);
        self.stirred(line.way).notify_one();
        Ok(())
    }

    fn connect_root(&self, absent: Absent) -> Result<Client, Error> {
        let none = |reason| Error::None {
            reason,
            hints: vec![INSTALL.to_owned()],
        };
        let Some(socket) = &self.root else {
            return Err(none(NO_SOCKET.to_owned()));
        };
        let connected = match Client::connect(socket) {
            Err(_) if self.user == 0 && absent == Absent::Start => {
                start(socket).map_err(none)?;
                Client::connect(socket)
            }
            connected => connected,
        };
        connected.map_err(|error| none(chain(&error)))
    }

    fn connect_rootless(&self, absent: Absent) -> Result<Client, Error> {
        let socket = self.rootless.socket();
        let connected = match Client::connect(&socket) {
            Err(_) if absent == Absent::Start => {
                self.rootless.start().map_err(|unable| Error::None {
                    reason: unable.reason,
                    hints: vec![unable.hint.to_owned()],
                })?;
                Client::connect(&socket)
            }
            connected => connected,
        };
        connected.map_err(|error| Error::None {
            reason: chain(&error),
            hints: Vec::new(),
        })
    }

    /// Calls the helper.
    pub(crate) fn call<T>(
        &self,
        what: &'static str,
        call: impl Fn(&mut Client) -> Result<T, CallError>,
    ) -> Result<T, Error> {
        self.call_or(Absent::Start, what, call)
    }

    /// Calls the helper if one answers; none is started.
    pub(crate) fn call_if_there<T>(
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
    /// saying it twice is no harm. A helper that is being killed still accepts connections until it has ended, so its end
    /// is waited for.
    fn call_or<T>(
        &self,
        absent: Absent,
        what: &'static str,
        call: impl Fn(&mut Client) -> Result<T, CallError>,
    ) -> Result<T, Error> {
        let once = || {
            self.connect(absent)?;
            let mut line = self.line();
            let result = match line.client.as_mut() {
                Some(client) => call(client),
                None => Err(CallError::Closed),
            };
            if matches!(result, Err(CallError::Exchange(_) | CallError::Closed))
                && let Some(broken) = line.client.take()
            {
                broken.wait_for_end();
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

/// Why there is no root helper without a socket.
pub(crate) const NO_SOCKET: &str =
    "with BANGER_HOME there is no root helper unless BANGER_ROOT_SOCKET names its socket";

/// What is done when no helper answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Absent {
    /// One is started, if this user can.
    Start,
    /// It stays so.
    Leave,
}

/// Starts the root helper, and returns when it serves.
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
            "the root helper did not start; {} shows the reason",
            state.with_extension("log").display()
        )),
        Err(error) => Err(format!("{} cannot be started: {error}", program.display())),
    }
}
