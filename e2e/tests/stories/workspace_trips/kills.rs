//! Whoever takes part is killed in the middle: nothing of the repository changes, and the next try does the rest.

use std::path::Path;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use banger_e2e::{Backend, Home, Image};

use super::compare::{fingerprint, git, in_guest, line, look};
use super::{awkward, prepare, same, untouched, vm};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Client,
    /// The agent's server in the guest.
    Server,
    Daemon,
}

impl Victim {
    fn all(backend: Backend) -> &'static [Self] {
        match backend {
            // QEMU's vsock device does not survive a daemon that is killed at a bad moment.
            Backend::Tcg => &[Self::Client, Self::Server],
            _ => &[Self::Client, Self::Server, Self::Daemon],
        }
    }

    /// Kills it when a line of shell in the guest has ended, and gives how the client ended then.
    fn kill(self, home: &Home, client: &mut Child, when: &str) -> Result<ExitStatus> {
        if self != Self::Server {
            home.sh("web", when)?;
        }
        ensure!(
            client.try_wait()?.is_none(),
            "it was done before it could be killed"
        );
        match self {
            Self::Client => client.kill()?,
            Self::Server => {
                let find = "for p in /proc/[0-9]*; do case $(tr '\\0' ' ' 2>/dev/null <$p/cmdline) in '@banger-agent serve'*) echo ${p#/proc/};; esac; done";
                home.sh("web", &format!("server=$({find}); {when}; kill -9 $server"))?;
            }
            Self::Daemon => {
                home.kill_daemon()?;
            }
        }
        let since = Instant::now();
        loop {
            if let Some(status) = client.try_wait()? {
                return Ok(status);
            }
            ensure!(since.elapsed() < PATIENCE, "the client waits for ever");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

pub(super) fn of_a_fake_prepare(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    let vm = vm(&home, backend)?;
    let dir = tempfile::tempdir()?;
    let script = "init; i=0; while [ $i -lt 400 ]; do head -c 150000 /dev/urandom > f$i; i=$((i+1)); done; commit; for i in 1 2 3; do echo m > f$i; done";
    let repository = awkward::make(dir.path(), &("large", script))?;
    let before = fingerprint(dir.path())?;
    let there = in_guest(home.path(), &vm, "/root/repo");
    let path = repository.to_string_lossy().into_owned();
    for victim in ["daemon", "client"] {
        // Asked for before there is any hurry.
        let daemon = home.daemon()?;
        let mut client = home
            .command(["vm", "workspace", "prepare", "web", &path])
            .spawn()?;
        let since = Instant::now();
        while !there.join("f200").exists() {
            ensure!(since.elapsed() < PATIENCE, "{victim}: nothing comes");
            ensure!(client.try_wait()?.is_none(), "{victim}: it was done too early");
            std::thread::sleep(Duration::from_millis(1));
        }
        match victim {
            "client" => client.kill()?,
            _ => daemon.kill()?,
        }
        ensure!(!client.wait()?.success(), "{victim}: it ended well");
        ensure!(
            !there.join("f399").exists(),
            "{victim}: all was there before the kill"
        );
        for file in ["f100", "f300"] {
            let _ = std::fs::remove_file(there.join(file));
        }
        untouched(victim, &before, dir.path())?;
        prepare(&home, &repository, &["--force"])?.ok().context(victim)?;
        same(victim, &look(&repository)?, &look(&there)?)?;
        git(&there, &["fsck", "--strict", "--no-dangling"])?;
        // From the start again, for the next.
        std::fs::remove_dir_all(&there)?;
    }
    home.end()
}

pub(super) fn of_a_prepare(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Git])?;
    home.create(backend, Image::Git, "web", &[])?;
    let dir = tempfile::tempdir()?;
    let script = "init; i=100; while [ $i -lt 700 ]; do head -c 100000 /dev/urandom > f$i; i=$((i+1)); done; commit; for i in 1 2 3; do echo m > f10$i; done; rm f104; echo n > new";
    let repository = awkward::make(dir.path(), &("large", script))?;
    let before = fingerprint(dir.path())?;
    let here = line(&repository, &["status", "--porcelain"])?;
    for victim in Victim::all(backend) {
        let what = format!("{victim:?}");
        let there = format!("/srv/{what}");
        let path = repository.to_string_lossy().into_owned();
        let mut client = home
            .command(["vm", "workspace", "prepare", "web", &path, "--guest-path", &there])
            .spawn()?;
        let when = format!("until [ -e {there}/f150 ]; do sleep 0.01; done");
        let ended = victim.kill(&home, &mut client, &when).context(what.clone())?;
        ensure!(!ended.success(), "{what}: it ended well");
        untouched(&what, &before, dir.path())?;
        prepare(&home, &repository, &["--guest-path", &there])?
            .ok()
            .context(what.clone())?;
        let told = home.sh(
            "web",
            &format!("cd {there} && git status --porcelain && git fsck --strict --no-dangling"),
        )?;
        ensure!(
            told.trim() == here.trim(),
            "{what}: here:\n{here}\nthere:\n{told}"
        );
    }
    home.end()
}

/// The repository as it was but for its objects, and none of the guest's work half known.
pub(super) fn of_a_pull(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Git])?;
    home.create(backend, Image::Git, "web", &[])?;
    let dir = tempfile::tempdir()?;
    let repository = awkward::make(dir.path(), &("small", "init; echo a > a; commit"))?;
    prepare(&home, &repository, &[])?.ok()?;
    home.sh(
        "web",
        "cd /root/repo && git config user.name g && git config user.email g@g && echo u > untracked-there",
    )?;
    let refs = || line(&repository, &["for-each-ref", "refs/banger"]);
    for victim in Victim::all(backend) {
        let what = format!("{victim:?}");
        let head = home.sh(
            "web",
            "cd /root/repo && dd if=/dev/urandom of=large bs=1M count=16 2>/dev/null && git add large && git commit -q -m large && git rev-parse HEAD",
        )?;
        let known = refs()?;
        let mut client = home.command(["vm", "workspace", "pull", "web"]).spawn()?;
        let since = Instant::now();
        while largest(&home.path().join("cache/workspaces")) < 1 << 20 {
            ensure!(since.elapsed() < PATIENCE, "{what}: nothing comes");
            ensure!(client.try_wait()?.is_none(), "{what}: it was done too early");
            std::thread::sleep(Duration::from_millis(2));
        }
        let ended = victim.kill(&home, &mut client, "true").context(what.clone())?;
        if *victim == Victim::Server {
            // The guest's git is no child of it, and goes on.
            ensure!(ended.success(), "{what}: it failed");
        } else {
            ensure!(!ended.success(), "{what}: it ended well");
            ensure!(refs()? == known, "{what}: something is known of it");
        }
        git(&repository, &["fsck", "--strict"]).context(what.clone())?;
        ensure!(
            line(&repository, &["status", "--porcelain"])?.is_empty(),
            "{what}"
        );
        home.banger(["vm", "workspace", "pull", "web"])?.ok()?;
        ensure!(
            line(&repository, &["rev-parse", "refs/banger/web/work^"])? == head,
            "{what}: it did not come"
        );
        git(&repository, &["fsck", "--strict"])?;
    }
    home.end()
}

/// Bytes of the largest file below `dir`.
fn largest(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => largest(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    });
    sizes.max().unwrap_or_default()
}
