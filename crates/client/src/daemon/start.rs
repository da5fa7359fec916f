//! Starting a daemon, and waiting for the end of one.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use banger_api::{Paths, Version};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::environment;
use super::error::DaemonError;
use super::find::look;
use crate::client::Client;

/// How long a daemon may take to end. It only lets go of things.
const END: Timespec = Timespec {
    tv_sec: 10,
    tv_nsec: 0,
};

/// How often a daemon is looked for that another command is starting in this instant, or one is started in the place of
/// one that is going, and at what interval.
const ATTEMPTS: u32 = 50;
const INTERVAL: Duration = Duration::from_millis(40);

/// A log that has grown beyond this is put aside when a daemon starts.
const LONG_LOG: u64 = 8 << 20;

/// Where `bangerd` is: beside this program, where it was installed, or on `PATH`.
///
/// # Errors
/// When it is nowhere.
pub fn program() -> Result<PathBuf, DaemonError> {
    const NAME: &str = "bangerd";
    if let Some(path) = std::env::var_os("BANGER_DAEMON").filter(|path| !path.is_empty()) {
        return Ok(path.into());
    }
    let us = std::env::current_exe().map_err(DaemonError::Ourselves)?;
    let here = us.parent().unwrap_or(Path::new("/"));
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = [here.to_owned(), here.join("../lib/banger")];
    let mut places = dirs
        .into_iter()
        .chain(std::env::split_paths(&on_path))
        .map(|dir| dir.join(NAME));
    places.find(|path| path.is_file()).ok_or(DaemonError::NoProgram)
}

/// Waits until a daemon that was asked to stop has gone.
///
/// # Errors
/// When it has not within ten seconds.
pub async fn wait_for_end(version: &Version) -> Result<(), DaemonError> {
    let Some(pid) = i32::try_from(version.pid).ok().and_then(Pid::from_raw) else {
        return Ok(());
    };
    let ended = tokio::task::spawn_blocking(move || {
        // None: it has gone already.
        let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else {
            return true;
        };
        let mut fds = [PollFd::new(&process, PollFlags::IN)];
        poll(&mut fds, Some(&END)).is_ok_and(|ready| ready > 0)
    });
    match ended.await.unwrap_or_default() {
        true => Ok(()),
        false => Err(DaemonError::Stays { pid: version.pid }),
    }
}

/// Starts a daemon and waits until it takes requests, or until another one does.
///
/// # Errors
/// When it does not start.
pub async fn start(paths: &Paths, program: &Path) -> Result<Client, DaemonError> {
    let mut said = String::new();
    for _ in 0..ATTEMPTS {
        let (started, log) = (program.to_owned(), paths.daemon_log());
        let spawned = tokio::task::spawn_blocking(move || spawn(&started, &log)).await;
        let spawned = spawned.unwrap_or_else(|error| Err(io::Error::other(error)));
        let spawned = spawned.map_err(|source| DaemonError::Start {
            program: program.to_owned(),
            source,
        });
        match spawned? {
            Spawned::Ready => return Ok(Client::new(started_at(paths)).of_this_process()),
            Spawned::Failed(log) => return Err(DaemonError::Ended { log }),
            Spawned::AnotherRuns(words) => {
                if let (client, Some(_)) = look(paths).await? {
                    return Ok(client);
                }
                said = words;
                tokio::time::sleep(INTERVAL).await;
            }
        }
    }
    Err(DaemonError::Ended { log: said })
}

/// The socket of a daemon that has just started: it stays where its machines have theirs.
fn started_at(paths: &Paths) -> PathBuf {
    let recorded = banger_api::whereabouts::recorded(&paths.lock());
    let at = recorded.filter(|runtime| *runtime != paths.runtime);
    let elsewhere = at.map(|runtime| {
        Paths {
            runtime,
            ..paths.clone()
        }
        .socket()
    });
    elsewhere.unwrap_or_else(|| paths.socket())
}

/// What became of a daemon.
enum Spawned {
    /// It takes requests.
    Ready,
    /// Another one has its place. That one is on its way up, or was killed and is not gone yet.
    AnotherRuns(String),
    /// It ended, with these words.
    Failed(String),
}

/// Starts a daemon and waits until it says that it is ready, or ends.
fn spawn(program: &Path, log: &Path) -> io::Result<Spawned> {
    if let Some(parent) = log.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
    }
    if std::fs::metadata(log).is_ok_and(|metadata| metadata.len() > LONG_LOG) {
        std::fs::rename(log, log.with_extension("log.1"))?;
    }
    let place = log;
    let log = open_log(log)?;
    // What it says itself, and not what earlier ones said.
    let before = log.metadata()?.len();
    let (mut ready, pipe) = io::pipe()?;
    let mut child = Command::new(program)
        .arg("--background")
        .env_clear()
        .envs(environment::kept())
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(pipe)
        .stderr(log)
        .spawn()?;
    let mut byte = [0; 1];
    if ready.read(&mut byte)? == 1 {
        return Ok(Spawned::Ready);
    }
    let another_runs = child.wait()?.code() == Some(banger_api::ANOTHER_RUNS.into());
    let words = words_after(place, before).unwrap_or_default();
    Ok(if another_runs {
        Spawned::AnotherRuns(words)
    } else {
        Spawned::Failed(words)
    })
}

/// What the log has from `offset` on, bounded: who starts the daemon at the same time writes there, too.
fn words_after(log: &Path, offset: u64) -> io::Result<String> {
    const MOST: u64 = 64 << 10;
    let mut file = File::open(log)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    file.take(MOST).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn open_log(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
}
