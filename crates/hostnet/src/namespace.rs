//! Rootless networking: a user and a network namespace that this user owns, and in them the helper that else is root's.
//!
//! ```text
//!  host ──────────────────────────┐   namespaces (user 0 there is this user)
//!  bangerd ── helper's socket ────┼──▶ bangerd net-helper: banger-root's own code, its bridge, TAPs, filter
//!  pasta (outside.rs) ────────────┼──▶ the interface `outside`
//!                                 │    VMMs, without any capability
//! ```
//!
//! Nothing holds the namespaces but who is in them: the helper while it lives, else the VMMs. So a helper that died is
//! started again beside the VMMs, from its plan; a daemon that died finds both. Everything is in one directory, and goes with
//! it.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use banger_api::Paths;
use banger_hostsys::programs::ourselves;
use banger_root::kernel::Watch;
use banger_root::serve::socket_path;
use banger_vmm::{ProcessId, Within, enter};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::net::{RecvFlags, recv, sockopt::socket_peercred};
use rustix::process::{Signal, pidfd_send_signal, setsid};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use crate::outside::Outside;
use crate::passt;
use crate::unable::Unable;

/// The namespaces of this daemon's VMs, which may not be there.
#[derive(Debug)]
pub(crate) struct Rootless {
    dir: PathBuf,
    /// Where machines work.
    machines: PathBuf,
    outside: Outside,
    /// How many were made so far.
    made: AtomicU64,
}

const NAMESPACES: &str = "allow users to create namespaces: sysctl user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns";
const LOG: &str = "helper.log";
/// How long a helper may take to end.
const ENDING: Timespec = Timespec {
    tv_sec: 2,
    tv_nsec: 0,
};

impl Rootless {
    pub(crate) fn new(paths: &Paths) -> Self {
        let dir = paths.runtime.join("net");
        Self {
            outside: Outside::new(&dir),
            dir,
            machines: paths.runtime.join("m"),
            made: AtomicU64::new(0),
        }
    }

    /// The helper's socket. User 0 of the namespaces is its owner.
    pub(crate) fn socket(&self) -> PathBuf {
        socket_path(&self.dir, 0)
    }

    /// Whether there is anything of them.
    pub(crate) fn is_there(&self) -> bool {
        self.dir.exists()
    }

    /// How many were made so far: what was opened in an earlier one leads nowhere.
    pub(crate) fn made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }

    /// The way out of them.
    pub(crate) const fn outside(&self) -> &Outside {
        &self.outside
    }

    /// Sees to it that they lead out as this host does by now.
    pub(crate) fn keep_open(&self) {
        let Some(helper) = self.is_there().then(|| self.helper()).flatten() else {
            return;
        };
        if let Err(why) = self.outside.keep(&helper) {
            tracing::warn!("VMs have no network access: {why}");
        }
    }

    /// The helper, if it lives: the process that listens at its socket.
    pub(crate) fn helper(&self) -> Option<ProcessId> {
        let socket = UnixStream::connect(self.socket()).ok()?;
        let process = ProcessId::of(socket_peercred(&socket).ok()?.pid.as_raw_nonzero().get()).ok()?;
        // A connection that is still whole means that its listener was alive after it was looked at.
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        let whole = recv(&socket, &mut [0; 1], flags).err() == Some(rustix::io::Errno::AGAIN);
        whole.then_some(process)
    }

    /// Starts the helper, and the namespaces unless a VMM holds them. Returns when it serves.
    pub(crate) fn start(&self) -> Result<(), Unable> {
        programs()?;
        taps()?;
        let inhabitant = self.inhabitant();
        if inhabitant.is_none() {
            // What an earlier one left, its way out included.
            self.remove().map_err(|error| self.unable("removed", &error))?;
            self.made.fetch_add(1, Ordering::Relaxed);
        }
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.dir);
        made.map_err(|error| self.unable("made", &error))?;
        let mut command = ourselves();
        command.arg("net-helper").arg(&self.dir);
        // Of the network that we are in: what is around this host is refused in there.
        let host = Watch::open().and_then(|watch| watch.socket());
        command.stdin(host.map_err(|error| self.unable("given this host's network", &error))?);
        match &inhabitant {
            Some(process) => enter(&mut command, process, Within::AsRoot).map_err(refused)?,
            None => make_namespaces(&mut command),
        }
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(self.dir.join(LOG));
        own_session(&mut command);
        command
            .stdout(Stdio::piped())
            .stderr(log.map_err(|error| self.unable("written to", &error))?);
        let mut child = command.spawn().map_err(refused)?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            // Without that line it has failed, whatever the read says.
            let _ = BufReader::new(stdout).read_line(&mut line);
        }
        // Whoever ends first, nobody waits for it any more then.
        std::thread::spawn(move || child.wait());
        if line.trim() == "ready" {
            return Ok(());
        }
        let words = std::fs::read_to_string(self.dir.join(LOG)).unwrap_or_default();
        let last = words.lines().last().unwrap_or("no error message");
        if inhabitant.is_none() {
            // What did not come to be is not there, also for who looks later.
            let _ = self.remove();
        }
        Err(Unable {
            reason: format!("the helper did not start in a namespace of its own: {last}"),
            hint: NAMESPACES,
        })
    }

    /// Ends the helper and its way out. VMMs that run hold their namespaces, without a way out.
    pub(crate) fn end(&self) -> io::Result<()> {
        if let Some(held) = self.helper().and_then(|process| process.open().transpose()) {
            let held = held?;
            match pidfd_send_signal(&held, Signal::TERM) {
                Ok(()) => drop(poll(&mut [PollFd::new(&held, PollFlags::IN)], Some(&ENDING))?),
                Err(rustix::io::Errno::SRCH) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.remove()
    }

    fn remove(&self) -> io::Result<()> {
        match std::fs::remove_dir_all(&self.dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// A VMM in the namespaces: a process that works in a machine's directory, in another network than ours.
    fn inhabitant(&self) -> Option<ProcessId> {
        let ours = std::fs::read_link("/proc/self/ns/net").ok()?;
        let pids = std::fs::read_dir("/proc").ok()?.flatten();
        let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let lives_there = |pid: i32| {
            let process = ProcessId::of(pid).ok()?;
            let place = Path::new("/proc").join(pid.to_string());
            let works_for_us = std::fs::read_link(place.join("cwd"))
                .ok()?
                .starts_with(&self.machines);
            let elsewhere = std::fs::read_link(place.join("ns/net")).ok()? != ours;
            (works_for_us && elsewhere && process.is_alive()).then_some(process)
        };
        pids.into_iter().find_map(lives_there)
    }

    fn unable(&self, what: &str, error: &io::Error) -> Unable {
        Unable {
            reason: format!("{} cannot be {what}: {error}", self.dir.display()),
            hint: "run `banger doctor` for details",
        }
    }
}

/// Whether such a network can be had here, as far as that is known without one: by trying.
pub(crate) fn trial() -> Result<(), Unable> {
    programs()?;
    taps()?;
    let mut command = ourselves();
    command
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    make_namespaces(&mut command);
    command
        .spawn()
        .and_then(|mut child| child.wait())
        .map_err(refused)?;
    Ok(())
}

/// Whether this user can make TAPs at all.
fn taps() -> Result<(), Unable> {
    let tun = OpenOptions::new().read(true).write(true).open("/dev/net/tun");
    tun.map(drop).map_err(|error| Unable {
        reason: format!("/dev/net/tun cannot be opened: {error}"),
        hint: match error.kind() {
            io::ErrorKind::PermissionDenied => "sudo chmod 666 /dev/net/tun",
            _ => "sudo modprobe tun && sudo chmod 666 /dev/net/tun  # in a container: start it with --device /dev/net/tun",
        },
    })
}

fn programs() -> Result<(), Unable> {
    passt::program()?;
    // A user's PATH need not have the programs that are root's as a rule; the helper knows where this one is.
    match ["/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft"]
        .iter()
        .any(|path| Path::new(path).exists())
    {
        true => Ok(()),
        false => Err(Unable {
            reason: "`nft` was not found".to_owned(),
            hint: "sudo apt-get install nftables",
        }),
    }
}

fn refused(error: io::Error) -> Unable {
    Unable {
        reason: format!("this host does not allow users to create namespaces: {error}"),
        hint: NAMESPACES,
    }
}

/// Lets `command` outlive what ends our session.
fn own_session(command: &mut Command) {
    // SAFETY: setsid(2) is async-signal-safe.
    unsafe {
        command.pre_exec(|| setsid().map(drop).map_err(Into::into));
    }
}

/// Lets `command` run in namespaces of its own, in which this user is root.
fn make_namespaces(command: &mut Command) {
    let uid = format!("0 {} 1\n", rustix::process::geteuid().as_raw());
    let gid = format!("0 {} 1\n", rustix::process::getegid().as_raw());
    let make = move || -> rustix::io::Result<()> {
        // SAFETY: no table of descriptors is unshared.
        unsafe { unshare_unsafe(UnshareFlags::NEWUSER | UnshareFlags::NEWNET) }?;
        // user_namespaces(7): who may not change groups may map their own.
        say(c"/proc/self/setgroups", b"deny")?;
        say(c"/proc/self/uid_map", uid.as_bytes())?;
        say(c"/proc/self/gid_map", gid.as_bytes())?;
        Ok(())
    };
    // SAFETY: between fork and exec this makes system calls that are async-signal-safe, and allocates nothing.
    unsafe {
        command.pre_exec(move || make().map_err(Into::into));
    }
}

fn say(path: &std::ffi::CStr, text: &[u8]) -> rustix::io::Result<()> {
    let file = rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::io::write(&file, text).map(drop)
}
