//! Programs that read untrusted input (an image, a guest's disk, a pack of git), as child processes with limits.
//!
//! One daemon serves all VMs, so no input may take its memory or its time. What decodes foreign input runs in a process of
//! its own instead, with an environment that is built, without new privileges and without any descriptor but its three
//! standard streams, and with limits on memory, processor time and time. It is the first one that the kernel ends when the
//! host runs out of memory. A child that meets a limit is an [`Error::Limit`] which names the limit.
//!
//! ```text
//!  let mut command = confined::command("git", limits);      // environment: empty
//!  command.args(["index-pack", "--stdin"]).env("PATH", …);
//!  let ran = confined::run("git index-pack", command, limits, input)?;   // or Child::spawn for streams
//! ```

mod cancel;
mod child;
mod converse;
mod error;

use std::ffi::OsStr;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, setrlimit};

pub use cancel::{Cancel, Guard};
pub use child::{Child, Ended, OUT_OF_MEMORY};
pub use error::{Error, Limit};

/// Address space beside the memory: mapped files, libraries, stacks, and what the allocator reserves and does not use.
const MAPPED: u64 = 2 << 30;

/// What a child may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memory that it may write to.
    pub memory: u64,
    /// Processor time.
    pub cpu: Duration,
    /// Time by the clock; none for what waits for others, such as a download.
    pub time: Option<Duration>,
    /// Bytes that it may print on standard output in [`run`].
    pub output: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 512 << 20,
            cpu: Duration::from_secs(300),
            time: Some(Duration::from_secs(600)),
            output: 64 << 20,
        }
    }
}

/// A command with an empty environment whose process has these limits from its first instruction on.
pub fn command(program: impl AsRef<OsStr>, limits: Limits) -> Command {
    let mut command = Command::new(program);
    command.env_clear().process_group(0);
    // SAFETY: only system calls between fork and exec, all of them async-signal-safe; nothing is allocated.
    unsafe {
        command.pre_exec(move || confine(limits));
    }
    command
}

fn confine(limits: Limits) -> io::Result<()> {
    // The kernel takes this one first when the host runs out of memory. That it cannot be asked for is no reason to stop.
    if let Ok(file) = rustix::fs::open(
        c"/proc/self/oom_score_adj",
        rustix::fs::OFlags::WRONLY,
        rustix::fs::Mode::empty(),
    ) {
        let _ = rustix::io::write(&file, b"800");
    }
    // The hard limit of processor time is a second later: SIGXCPU says why, SIGKILL cannot be caught.
    let cpu = limits.cpu.as_secs().max(1);
    for (resource, soft, hard) in [
        (Resource::Data, limits.memory, limits.memory),
        (
            Resource::As,
            limits.memory.saturating_add(MAPPED),
            limits.memory.saturating_add(MAPPED),
        ),
        (Resource::Cpu, cpu, cpu + 1),
        (Resource::Core, 0, 0),
    ] {
        setrlimit(
            resource,
            Rlimit {
                current: Some(soft),
                maximum: Some(hard),
            },
        )?;
    }
    rustix::thread::set_no_new_privs(true)?;
    // SAFETY: no memory is passed. Descriptors are marked, not closed: std reports a failed exec by one of its own.
    let marked = unsafe { libc::close_range(3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC as libc::c_int) };
    if marked < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// What a child that succeeded did.
#[derive(Debug)]
pub struct Ran {
    /// What it printed on standard output.
    pub stdout: Vec<u8>,
    /// The most memory that it had, in bytes.
    pub peak: u64,
}

/// A look at why a child takes its time. One that waits for what never comes uses nothing that has a limit but time.
#[derive(Clone, Copy)]
pub struct Slow<'a> {
    /// How long a child may take before anybody looks.
    pub after: Duration,
    /// Whether it waits in vain, and is to be ended.
    pub look: &'a dyn Fn() -> bool,
}

/// What a child did that was heard to its end.
#[derive(Debug)]
pub struct Told {
    /// What it printed on standard output.
    pub stdout: Vec<u8>,
    /// How it ended.
    pub ended: Result<Ended, Error>,
}

/// Runs `command`, which [`command`] made with the same limits, on `input`.
///
/// # Errors
/// When it cannot be started, fails, or meets a limit.
pub fn run(what: &'static str, command: Command, limits: Limits, input: &[u8]) -> Result<Ran, Error> {
    let Told { stdout, ended } = tell(what, command, limits, input, None)?;
    let peak = ended?.peak;
    Ok(Ran { stdout, peak })
}

/// The same of which also what a child printed that failed is of interest, and that may be slow in vain.
///
/// # Errors
/// When it cannot be started or heard, or prints too much.
pub fn tell(
    what: &'static str,
    mut command: Command,
    limits: Limits,
    input: &[u8],
    slow: Option<Slow<'_>>,
) -> Result<Told, Error> {
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    if !input.is_empty() {
        command.stdin(Stdio::piped());
    }
    let mut child = Child::start(what, command, limits)?;
    let until = limits.time.map(|time| Instant::now() + time);
    let heard = converse::converse(&mut child, input, limits.output, until, slow);
    let heard = heard.map_err(|source| Error::Read { what, source })?;
    if heard.too_much {
        return Err(Error::Limit {
            what,
            limit: Limit::Output(limits.output),
        });
    }
    child.was_heard(heard.words, heard.late);
    let ended = child.wait();
    Ok(Told {
        stdout: heard.printed,
        ended: match (heard.in_vain, ended) {
            (true, Err(_)) => Err(Error::InVain { what }),
            (_, ended) => ended,
        },
    })
}

#[cfg(test)]
mod tests;
