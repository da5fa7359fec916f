//! The daemon as a command finds it: started when none runs, replaced when it is older than this program. One of another build is as good
//! as ours when it speaks our API: two installations do not take the daemon from each other.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use banger_api::client::{Client, ClientError};
use banger_api::{ApiVersion, Paths, Version};
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

/// A client of a daemon that runs and speaks our API.
pub(crate) async fn connect() -> Result<Client, Failure> {
    let paths = Paths::from_env()?;
    let program = program()?;
    if let (client, Some(version)) = find(&paths).await? {
        let why = if is_older(&version) {
            format!("which is version {} and older than this banger", version.version)
        } else if !ApiVersion::CURRENT.understands(version.api) {
            return Err(unintelligible(&version));
        } else if let Some(group) = lacking_group(&version) {
            format!("which does not have your group {group}, of /dev/kvm")
        } else {
            return Ok(client);
        };
        refuse_to_cut(&version, &format!("bangerd must be restarted, {why}"))?;
        print::say!("note: restarting bangerd, {why}; VMs run on");
        client.stop_daemon(true).await?;
        wait_for_end(&version).await?;
    }
    start(&paths, program).await
}

/// A client, and which daemon answers if one does. Starts none.
pub(crate) async fn look() -> Result<(Client, Option<Version>), Failure> {
    find(&Paths::from_env()?).await
}

/// The socket of a daemon that listens, without asking it anything.
pub(crate) fn listening(paths: &Paths) -> Option<PathBuf> {
    let listens = |socket: &PathBuf| std::os::unix::net::UnixStream::connect(socket).is_ok();
    paths.sockets().into_iter().find(listens)
}

/// The daemon of the state of `paths`, wherever it listens: its environment may have been another one than ours.
async fn find(paths: &Paths) -> Result<(Client, Option<Version>), Failure> {
    for socket in paths.sockets() {
        let client = Client::new(socket).of_this_process();
        match client.version().await {
            Ok(version) => return Ok((client, Some(version))),
            // One that was killed in this instant may have taken the connection and not the request.
            Err(error) if error.is_absence() || matches!(error, ClientError::Http(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok((Client::new(paths.socket()).of_this_process(), None))
}

/// What runs through the daemon ends with it: shells, commands, copies. So nobody ends it beside them unasked.
pub(crate) fn refuse_to_cut(version: &Version, why: &str) -> Result<(), Failure> {
    let streams = match version.streams {
        0 => return Ok(()),
        1 => "1 shell, command or copy".to_owned(),
        many => format!("{many} shells, commands or copies"),
    };
    let instead = "banger daemon stop --force";
    let refused = || {
        let message = format!("{why}, and {streams} would be cut off: they run through it");
        let hint = format!("let them end, or cut them off with `{instead}`; VMs run on in either case");
        Failure::new(message, &[&hint]).exiting(crate::exit::CONFLICT)
    };
    if !std::io::IsTerminal::is_terminal(&io::stdin()) {
        return Err(refused());
    }
    let question = format!("{why}. {streams} will be cut off: they run through it. Go on?");
    match crate::ask::sure(&question, instead)? {
        true => Ok(()),
        false => Err(refused()),
    }
}

/// The group of /dev/kvm where we are in it and the daemon is not: a user who has just been given it has logged in again, and the
/// daemon has not.
fn lacking_group(version: &Version) -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    let daemons = version.groups.as_ref()?;
    let group = std::fs::metadata("/dev/kvm").ok()?.gid();
    let ours = rustix::process::getgroups().ok()?;
    let is_ours = ours.iter().any(|ours| ours.as_raw() == group);
    (is_ours && !daemons.contains(&group)).then_some(group)
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

/// Whether a daemon is older than this program, by its version or its API's.
fn is_older(daemon: &Version) -> bool {
    numbers(&daemon.version) < numbers(env!("CARGO_PKG_VERSION")) || daemon.api < ApiVersion::CURRENT
}

/// The numbers of a version, `1.2.3`. What stands behind them does not make one older.
fn numbers(version: &str) -> Vec<u64> {
    let core = version.split(['-', '+']).next().unwrap_or_default();
    core.split('.')
        .map(|number| number.parse().unwrap_or(0))
        .collect()
}

fn unintelligible(daemon: &Version) -> Failure {
    let message = format!(
        "bangerd {} speaks API {}, and this banger {} speaks API {}",
        daemon.version,
        daemon.api,
        env!("CARGO_PKG_VERSION"),
        ApiVersion::CURRENT
    );
    let hint = format!(
        "use the banger of version {}, or replace the daemon by this one: `banger daemon stop`, and the next command starts it",
        daemon.version
    );
    Failure::new(message, &[&hint]).exiting(crate::exit::CONFLICT)
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
async fn start(paths: &Paths, program: PathBuf) -> Result<Client, Failure> {
    let log = paths.daemon_log();
    let mut said = String::new();
    for _ in 0..ATTEMPTS {
        let (program, to) = (program.clone(), log.clone());
        let failed = format!("start {}", program.display());
        let spawned = tokio::task::spawn_blocking(move || spawn(&program, &to)).await;
        match spawned.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Err(error) => return Err(Failure::during(failed, &error)),
            Ok(Spawned::Ready) => return Ok(Client::new(started_at(paths)).of_this_process()),
            Ok(Spawned::Failed(words)) => {
                said = words;
                break;
            }
            Ok(Spawned::AnotherRuns(words)) => {
                if let (client, Some(_)) = find(paths).await? {
                    return Ok(client);
                }
                said = words;
                tokio::time::sleep(INTERVAL).await;
            }
        }
    }
    let failure = Failure::new(
        "bangerd does not start",
        &["`banger doctor` looks for the reason"],
    );
    Err(failure.with_log(said))
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
