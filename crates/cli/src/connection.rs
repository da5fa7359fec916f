//! The daemon as a command finds it: started when none runs, replaced when it is of another build.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use banger_api::client::{Client, ClientError};
use banger_api::{Paths, Version};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::daemon_env;
use crate::failure::Failure;
use crate::print;

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

/// A client of a daemon that runs and is of our build.
pub(crate) async fn connect() -> Result<Client, Failure> {
    let paths = Paths::from_env()?;
    let client = Client::new(paths.socket());
    let program = program()?;
    match client.version().await {
        Ok(version) if is_ours(&version, &program) => return Ok(client),
        Ok(version) => {
            print::say!("note: restarting bangerd, which is of another build; VMs run on");
            client.stop_daemon().await?;
            wait_for_end(&version).await?;
        }
        // One that was killed in this instant may have taken the connection and not the request.
        Err(error) if error.is_absence() || matches!(error, ClientError::Http(_)) => {}
        Err(error) => return Err(error.into()),
    }
    start(&client, &paths, program).await?;
    Ok(client)
}

/// A client, and which daemon answers if one does. Starts none.
pub(crate) async fn look() -> Result<(Client, Option<Version>), Failure> {
    let client = Client::new(Paths::from_env()?.socket());
    match client.version().await {
        Ok(version) => Ok((client, Some(version))),
        Err(error) if error.is_absence() => Ok((client, None)),
        Err(error) => Err(error.into()),
    }
}

/// Where `bangerd` is: beside us, where it was installed, or on `PATH`.
pub(crate) fn program() -> Result<PathBuf, Failure> {
    const NAME: &str = "bangerd";
    if let Some(path) = std::env::var_os("BANGER_DAEMON").filter(|path| !path.is_empty()) {
        return Ok(path.into());
    }
    let us = std::env::current_exe().map_err(|error| Failure::during("find this program", &error))?;
    let here = us.parent().unwrap_or(Path::new("/"));
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = [here.to_owned(), here.join("../lib/banger")];
    let mut places = dirs
        .into_iter()
        .chain(std::env::split_paths(&on_path))
        .map(|dir| dir.join(NAME));
    places.find(|path| path.is_file()).ok_or_else(|| {
        Failure::new(
            "there is no bangerd beside this program",
            &["install both: `make install`"],
        )
    })
}

fn is_ours(version: &Version, program: &Path) -> bool {
    // A program that cannot be looked at is not started either: better the one that runs.
    Version::build_of(program).is_ok_and(|build| build == version.build) || !program.exists()
}

/// Waits until a daemon that was asked to stop has gone.
pub(crate) async fn wait_for_end(version: &Version) -> Result<(), Failure> {
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
    if ended.await.unwrap_or_default() {
        return Ok(());
    }
    Err(Failure::new(
        format!("bangerd (process {}) does not end", version.pid),
        &["end it with `kill`"],
    ))
}

/// Starts a daemon and waits until it takes requests, or until another one does.
async fn start(client: &Client, paths: &Paths, program: PathBuf) -> Result<(), Failure> {
    let log = paths.daemon_log();
    for _ in 0..ATTEMPTS {
        let (program, to) = (program.clone(), log.clone());
        let failed = format!("start {}", program.display());
        let spawned = tokio::task::spawn_blocking(move || spawn(&program, &to)).await;
        match spawned.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Err(error) => return Err(Failure::during(failed, &error)),
            Ok(Spawned::Ready) => return Ok(()),
            Ok(Spawned::Failed) => break,
            Ok(Spawned::AnotherRuns) if client.version().await.is_ok() => return Ok(()),
            Ok(Spawned::AnotherRuns) => tokio::time::sleep(INTERVAL).await,
        }
    }
    let words = std::fs::read_to_string(&log).unwrap_or_default();
    let failure = Failure::new(
        "bangerd does not start",
        &["`banger doctor` looks for the reason"],
    );
    Err(failure.with_log(words))
}

/// What became of a daemon.
enum Spawned {
    /// It takes requests.
    Ready,
    /// Another one has its place. That one is on its way up, or was killed and is not gone yet.
    AnotherRuns,
    Failed,
}

/// Starts a daemon and waits until it says that it is ready, or ends.
fn spawn(program: &Path, log: &Path) -> io::Result<Spawned> {
    if let Some(parent) = log.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
    }
    if std::fs::metadata(log).is_ok_and(|metadata| metadata.len() > LONG_LOG) {
        std::fs::rename(log, log.with_extension("log.1"))?;
    }
    let log = open_log(log)?;
    let (mut ready, pipe) = io::pipe()?;
    let mut child = Command::new(program)
        .arg("--background")
        .env_clear()
        .envs(daemon_env::kept())
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
    Ok(if another_runs {
        Spawned::AnotherRuns
    } else {
        Spawned::Failed
    })
}

fn open_log(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
}
