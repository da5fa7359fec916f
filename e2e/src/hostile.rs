//! A daemon that is answered by a hostile guest (`banger-hostile-guest`): what that costs it.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

/// Every bomb that the guest has.
pub const BOMBS: [&str; 33] = [
    "array-of-strings",
    "array-of-arrays",
    "array-of-objects",
    "object-of-many",
    "nested-arrays",
    "nested-objects",
    "one-string",
    "one-number",
    "white-space",
    "causes",
    "long-message",
    "no-json-failure",
    "many-headers",
    "long-header",
    "long-status",
    "informational",
    "tiny-chunks",
    "chunk-extensions",
    "huge-chunk",
    "trailers",
    "huge-length",
    "no-length",
    "event-flood",
    "long-frame",
    "unknown-channel",
    "control-arrays",
    "stderr-flood",
    "stdout-flood",
    "slow",
    "hang-up",
    "no-http",
    "no-ok",
    "silence",
];

/// How long a request may wait for a guest that does not answer, before its client leaves.
const PATIENCE: Duration = Duration::from_secs(1);

/// Puts the programs of `from` into `to`, with the hostile guest for the fake one.
///
/// # Errors
/// When one of them is not there.
pub fn programs(from: &Path, to: &Path) -> Result<()> {
    for (program, name) in [
        ("banger", "banger"),
        ("bangerd", "bangerd"),
        ("banger-vsock-agent", "banger-vsock-agent"),
        ("banger-fake-guest", "banger-real-guest"),
        ("banger-hostile-guest", "banger-fake-guest"),
    ] {
        std::fs::hard_link(from.join(program), to.join(name))
            .with_context(|| format!("{} is not built", from.join(program).display()))?;
    }
    Ok(())
}

/// A daemon under attack.
#[derive(Debug)]
pub struct Siege {
    /// `BANGER_HOME`.
    pub home: PathBuf,
    /// The daemon's process.
    pub pid: i32,
}

/// What an attack cost.
#[derive(Debug, Clone, Default)]
pub struct Cost {
    /// How long each `GET /v1/vms` took meanwhile.
    pub lists: Vec<Duration>,
    /// Which of the commands ended well.
    pub well: Vec<bool>,
}

impl Siege {
    /// Lets the guest answer `commands` with this bomb, all at once, and lists VMs meanwhile.
    ///
    /// # Errors
    /// When the daemon does not answer.
    pub fn throw(&self, bomb: &str, commands: Vec<Command>) -> Result<Cost> {
        std::fs::write(self.home.join("bomb"), bomb)?;
        let (well, lists) = self.beside(|| {
            std::thread::scope(|scope| {
                let waiting: Vec<_> = commands
                    .into_iter()
                    .map(|command| scope.spawn(move || run(command)))
                    .collect();
                let well = waiting
                    .into_iter()
                    .map(|waiting| waiting.join().expect("waiting does not panic"));
                well.collect::<Result<Vec<bool>>>()
            })
        })?;
        std::fs::remove_file(self.home.join("bomb"))?;
        Ok(Cost { lists, well })
    }

    /// Lists VMs for as long as an attack goes on; what came of it, and how long each list took.
    ///
    /// # Errors
    /// When the attack cannot be made, or the daemon does not answer.
    pub fn beside<T>(&self, attack: impl FnOnce() -> Result<T>) -> Result<(T, Vec<Duration>)> {
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let lists = scope.spawn(|| {
                let mut lists = vec![self.list()?];
                while !over.load(Ordering::Relaxed) {
                    lists.push(self.list()?);
                    std::thread::sleep(Duration::from_millis(20));
                }
                anyhow::Ok(lists)
            });
            let came = attack();
            over.store(true, Ordering::Relaxed);
            let lists = lists.join().expect("listing does not panic")?;
            Ok((came?, lists))
        })
    }

    /// How long the daemon takes to list its VMs.
    fn list(&self) -> Result<Duration> {
        let began = Instant::now();
        let mut daemon = UnixStream::connect(self.home.join("run/bangerd.sock"))?;
        daemon.set_read_timeout(Some(Duration::from_secs(20)))?;
        daemon.write_all(b"GET /v1/vms HTTP/1.1\r\nhost: banger\r\nconnection: close\r\n\r\n")?;
        let mut answer = Vec::new();
        daemon.read_to_end(&mut answer)?;
        ensure!(
            answer.starts_with(b"HTTP/1.1 200"),
            "the daemon does not list its VMs"
        );
        Ok(began.elapsed())
    }

    /// The daemon's children that run its own program: what is foreign is read by those.
    pub fn workers(&self) -> Vec<u32> {
        let of = |pid: i32| {
            let tasks = std::fs::read_dir(format!("/proc/{pid}/task"));
            let listed = tasks.into_iter().flatten().flatten().filter_map(|task| {
                let list = std::fs::read_to_string(task.path().join("children")).ok()?;
                let pids = list.split(' ').filter_map(|pid| pid.parse().ok());
                Some(pids.collect::<Vec<u32>>())
            });
            listed.flatten()
        };
        let is_worker = |pid: &u32| {
            let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.split('\0').nth(1) == Some("image-worker")
        };
        of(self.pid).filter(is_worker).collect()
    }

    /// The most memory that the daemon has had, in MiB: without the parts of its program that were read, which are large in a
    /// build for tests.
    ///
    /// # Errors
    /// When it does not run any more.
    pub fn peak_mib(&self) -> Result<f64> {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.pid)).context("the daemon has died")?;
        let kib = |name: &str| -> Result<f64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.context("a line of proc(5)")?.trim().trim_end_matches(" kB");
            Ok(kib.parse()?)
        };
        Ok((kib("VmHWM:")? - kib("RssFile:")?) / 1024.0)
    }
}

/// Runs a command to its end, or until it has been waited for long enough; whether it ended well.
fn run(mut command: Command) -> Result<bool> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.success());
        }
        if began.elapsed() > PATIENCE {
            child.kill()?;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
