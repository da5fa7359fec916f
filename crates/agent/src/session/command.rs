//! A session's command: its start, its streams and its end.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use banger_guest_api::{Exec, ExitStatus, Failure, OutputStream, SessionInput, TerminalSize, Usage};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use crate::exec::{Prepared, Refusal, Surroundings, Terminal, prepare};
use crate::failure::During;

/// How long output may be quiet, once the command has ended, before its streams are taken as finished though something that
/// the command left behind holds them open.
const QUIET: Duration = Duration::from_millis(50);

/// How long it may go on at all, if it is never quiet.
const LATEST: Duration = Duration::from_secs(2);

/// A command that runs, or has ended with output that is still to be read.
#[derive(Debug)]
pub(super) struct Command {
    pid: Pid,
    /// Readable when the process has ended.
    pub(super) process: OwnedFd,
    /// Those that have ended are closed.
    pub(super) outputs: Vec<(OutputStream, Option<OwnedFd>)>,
    /// Nothing when it is closed.
    pub(super) input: Option<OwnedFd>,
    terminal: Option<Terminal>,
    pub(super) end: Option<End>,
}

/// How a command ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    pub(super) status: ExitStatus,
    pub(super) usage: Usage,
    quiet_at: Instant,
    latest: Instant,
    /// Bytes that were there to be read at its end, and are its own.
    owed: u64,
}

impl Command {
    /// Starts a command in a session and a process group of its own.
    pub(super) fn start(
        exec: &Exec,
        input: SessionInput,
        surroundings: &Surroundings,
    ) -> Result<Self, Failure> {
        let prepared = prepare(exec, &[], surroundings).map_err(Refusal::into_failure)?;
        let Prepared {
            mut command,
            program,
            cwd,
        } = prepared;
        // SAFETY: one async-signal-safe system call.
        unsafe {
            command.pre_exec(|| {
                release_signals();
                Ok(())
            });
        }
        let spawned = match &exec.tty {
            Some(tty) => on_terminal(command, tty.size),
            None => on_pipes(command, input),
        };
        spawned.map_err(|error| Refusal::of_spawn(&program, &cwd, error).into_failure())?
    }

    fn of(child: &Child, terminal: Option<Terminal>) -> Result<Self, Failure> {
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or(Errno::SRCH).during("find the command's process")?;
        Ok(Self {
            pid,
            process: pidfd_open(pid, PidfdFlags::empty()).during("open the command's process")?,
            outputs: Vec::new(),
            input: None,
            terminal,
            end: None,
        })
    }

    /// Its process id in the guest.
    pub(super) fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Delivers a signal to its process group, unless it has ended: the number may be another's then.
    pub(super) fn signal(&self, signal: Signal) {
        if self.end.is_none() {
            let _ = kill_process_group(self.pid, signal);
        }
    }

    /// Tells its terminal the size.
    pub(super) fn resize(&self, size: TerminalSize) {
        if let Some(terminal) = &self.terminal {
            let _ = terminal.resize(size);
        }
    }

    /// Takes note of its end, if it has come.
    pub(super) fn reap(&mut self) {
        let mut status = 0;
        let mut usage = MaybeUninit::<libc::rusage>::zeroed();
        // SAFETY: both places are ours to be written to; all zeros is an empty usage.
        let (reaped, usage) = unsafe {
            let reaped = libc::wait4(
                self.pid.as_raw_nonzero().get(),
                &raw mut status,
                libc::WNOHANG,
                usage.as_mut_ptr(),
            );
            (reaped, usage.assume_init())
        };
        if reaped <= 0 {
            return;
        }
        let status = if libc::WIFEXITED(status) {
            ExitStatus::Code(libc::WEXITSTATUS(status))
        } else {
            ExitStatus::Signal(libc::WTERMSIG(status))
        };
        let now = Instant::now();
        self.end = Some(End {
            status,
            usage: Usage {
                user_us: micros(usage.ru_utime),
                system_us: micros(usage.ru_stime),
                // In units of 1024 bytes (getrusage(2)).
                max_resident: usage.ru_maxrss.unsigned_abs() << 10,
            },
            quiet_at: now + QUIET,
            latest: now + LATEST,
            owed: self.unread(),
        });
    }

    /// So many bytes of output came: after its end, there may be more.
    pub(super) fn was_heard(&mut self, bytes: u64) {
        if let Some(end) = &mut self.end {
            end.quiet_at = Instant::now() + QUIET;
            end.owed = end.owed.saturating_sub(bytes);
        }
    }

    /// How it ended, once all its output has come.
    pub(super) fn is_over(&self) -> Option<End> {
        let end = self.end?;
        let now = Instant::now();
        let is_finished = self.outputs.iter().all(|(_, output)| output.is_none());
        let is_quiet = || now >= end.quiet_at && self.unread() == 0;
        let is_over = is_finished || (end.owed == 0 && now >= end.latest) || is_quiet();
        is_over.then_some(end)
    }

    fn unread(&self) -> u64 {
        let outputs = self.outputs.iter().filter_map(|(_, output)| output.as_ref());
        outputs
            .map(|output| rustix::io::ioctl_fionread(output).unwrap_or_default())
            .sum()
    }

    /// When to look again whether it is over.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.end.map(|end| end.quiet_at.min(end.latest))
    }
}

fn on_terminal(
    mut command: std::process::Command,
    size: TerminalSize,
) -> io::Result<Result<Command, Failure>> {
    let terminal = Terminal::open(&mut command, size)?;
    let child = command.spawn()?;
    // Our copies of the command's side go with it, or its end would never be seen.
    drop(command);
    let output = rustix::io::fcntl_dupfd_cloexec(&terminal.ours, 3)?;
    let input = rustix::io::fcntl_dupfd_cloexec(&terminal.ours, 3)?;
    // One open file has one mode: this is for all three.
    rustix::io::ioctl_fionbio(&input, true)?;
    Ok(Command::of(&child, Some(terminal)).map(|mut started| {
        started.outputs = vec![(OutputStream::Stdout, Some(output))];
        started.input = Some(input);
        started
    }))
}

fn on_pipes(mut command: std::process::Command, input: SessionInput) -> io::Result<Result<Command, Failure>> {
    command
        .stdin(match input {
            SessionInput::Closed => Stdio::null(),
            SessionInput::Pipe => Stdio::piped(),
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    // SAFETY: setsid(2) is async-signal-safe.
    unsafe {
        command.pre_exec(|| rustix::process::setsid().map(drop).map_err(Into::into));
    }
    let mut child = command.spawn()?;
    let input = child.stdin.take().map(OwnedFd::from);
    let stdout = child.stdout.take().map(OwnedFd::from);
    let stderr = child.stderr.take().map(OwnedFd::from);
    // Ours alone: the command's ends of the pipes have modes of their own.
    for ours in [&input, &stdout, &stderr].into_iter().flatten() {
        rustix::io::ioctl_fionbio(ours, true)?;
    }
    Ok(Command::of(&child, None).map(|mut started| {
        let stdout = stdout.map(|pipe| (OutputStream::Stdout, Some(pipe)));
        let stderr = stderr.map(|pipe| (OutputStream::Stderr, Some(pipe)));
        started.outputs = stdout.into_iter().chain(stderr).collect();
        started.input = input;
        started
    }))
}

fn micros(time: libc::timeval) -> u64 {
    time.tv_sec.unsigned_abs() * 1_000_000 + time.tv_usec.unsigned_abs()
}

/// Holds back no signal: what the keeper holds back would be held back in its command too.
fn release_signals() {
    let mut none = MaybeUninit::uninit();
    // SAFETY: sigemptyset(3) initializes the set; neither fails.
    unsafe {
        libc::sigemptyset(none.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut());
    }
}
