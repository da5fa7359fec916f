//! Starting the processes of a machine, so that they outlive us once they are wanted and never before.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use banger_model::log_tail;
use rustix::process::{Resource, Rlimit, Signal, setrlimit};
use rustix::thread::set_no_new_privs;

use crate::inotify::Created;
use crate::process::{Handle, ProcessId};
use crate::within::{Within, enter};
use crate::{Error, LaunchSpec};

/// How long a program may take to make its socket.
const READY: Duration = Duration::from_secs(20);

/// How long a process that fails may take to end.
const LAST_WORD: Duration = Duration::from_millis(500);

/// A process that is killed when this is dropped, unless it was [released](Starting::release).
#[derive(Debug)]
pub(crate) struct Starting {
    program: &'static str,
    handle: Option<Handle>,
    log: PathBuf,
}

/// What a process has of ours.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Given<'a> {
    /// The process whose network it is in, if that is another than ours.
    pub(crate) within: Option<&'a ProcessId>,
    /// Locks that it holds for as long as it lives.
    pub(crate) locks: &'a [Arc<OwnedFd>],
    /// A connection that it is to use, under the number that the descriptor has here.
    pub(crate) connection: Option<BorrowedFd<'a>>,
}

impl<'a> Given<'a> {
    /// What the VMM of a machine has.
    pub(crate) fn to_vmm(spec: &'a LaunchSpec) -> Self {
        Self {
            within: spec.within(),
            locks: &spec.locks,
            connection: None,
        }
    }
}

/// Lets the program that is executed next have no descriptor but the standard ones and `kept`, leave no core dump, which would
/// have the guest's memory, and gain no privileges.
fn bare(kept: &[RawFd]) -> std::io::Result<()> {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none)?;
    set_no_new_privs(true)?;
    // SAFETY: this sets a flag of descriptors and closes none.
    let closing = unsafe { libc::close_range(3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC.cast_signed()) };
    if closing != 0 {
        let error = std::io::Error::last_os_error();
        // Before Linux 5.11 all descriptors of the daemon's close by themselves: it was left no others (`inherited.rs`).
        if !matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EINVAL)) {
            return Err(error);
        }
    }
    for &descriptor in kept {
        // SAFETY: the daemon holds the descriptor until the program is executed.
        if unsafe { libc::fcntl(descriptor, libc::F_SETFD, 0) } != 0 {
            return Err(std::io::Error::last_os_error());
        }
    }
    Ok(())
}

/// The output of a process.
pub(crate) enum Output {
    /// Into the machine's `vmm.log`.
    Log,
    /// Into this file or pipe.
    To(Stdio),
}

impl Starting {
    /// Starts `program` in the machine's directory, as the leader of a session of its own, with what it is `given`.
    pub(crate) fn spawn<S: AsRef<OsStr>>(
        name: &'static str,
        program: &Path,
        args: impl IntoIterator<Item = S>,
        dir: &Path,
        stdin: Stdio,
        stdout: Output,
        given: Given<'_>,
    ) -> Result<Self, Error> {
        let log = dir.join("vmm.log");
        let errors = append(&log)?;
        let mut command = Command::new(program);
        command
            .args(args)
            .current_dir(dir)
            .stdin(stdin)
            .stdout(match stdout {
                Output::Log => Stdio::from(append(&log)?),
                Output::To(stdio) => stdio,
            })
            .stderr(Stdio::from(errors));
        let spawn_error = |source| Error::Spawn {
            program: program.to_owned(),
            source,
        };
        if let Some(process) = given.within {
            enter(&mut command, process, Within::Network).map_err(spawn_error)?;
        }
        let locks = given.locks.iter().map(|lock| lock.as_raw_fd());
        let kept: Vec<RawFd> = locks
            .chain(given.connection.map(|connection| connection.as_raw_fd()))
            .collect();
        // SAFETY: between fork and exec this makes system calls, all of them async-signal-safe, and allocates nothing.
        unsafe {
            command.pre_exec(move || {
                rustix::process::setsid()?;
                bare(&kept)
            });
        }
        // The child is waited for by its handle; std's own handle does nothing when dropped.
        let child = command.spawn().map_err(spawn_error)?;
        let pid = i32::try_from(child.id()).unwrap_or_default();
        let handle = Handle::of_child(pid).map_err(spawn_error)?;
        Ok(Self {
            program: name,
            handle: Some(handle),
            log,
        })
    }

    /// Waits for the file that the process makes when it is ready. `created` has watched since before the spawn.
    pub(crate) async fn until_created(&self, created: Created, what: &'static str) -> Result<(), Error> {
        let Some(handle) = &self.handle else {
            return Err(self.died(None));
        };
        tokio::select! {
            biased;
            made = created.wait() => made,
            code = handle.ended() => Err(self.died(code)),
            () = tokio::time::sleep(READY) => Err(Error::Silent {
                program: self.program,
                what,
                after: READY,
                words: last_words(&self.log),
            }),
        }
    }

    /// Waits for `what`, but not beyond the end of the process; when both fail, that it ended says more.
    pub(crate) async fn unless_it_dies<T>(
        &self,
        what: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let Some(handle) = &self.handle else {
            return Err(self.died(None));
        };
        let ended = handle.ended();
        tokio::pin!(ended);
        tokio::select! {
            biased;
            result = what => match result {
                Err(error) => match tokio::time::timeout(LAST_WORD, ended).await {
                    Ok(code) => Err(self.died(code)),
                    Err(_) => Err(error),
                },
                done => done,
            },
            code = &mut ended => Err(self.died(code)),
        }
    }

    /// The process is wanted: it lives on without us.
    pub(crate) fn release(mut self) -> Result<Handle, Error> {
        self.handle.take().ok_or_else(|| self.died(None))
    }

    fn died(&self, code: Option<i32>) -> Error {
        Error::Died {
            program: self.program,
            status: code.map_or_else(|| "status unknown".to_owned(), |code| format!("status {code}")),
            words: last_words(&self.log),
        }
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take() {
            // It may have ended by itself. Its status is taken in the background, so that no zombie stays.
            let _ = handle.signal(Signal::KILL);
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                runtime.spawn(async move { handle.ended().await });
            }
        }
    }
}

/// Opens a log to append to, for its owner alone.
pub(crate) fn append(path: &Path) -> Result<File, Error> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .map_err(|source| Error::File {
            what: "open the log",
            path: path.to_owned(),
            source,
        })
}

/// The end of a log, as printable text.
pub(crate) fn last_words(path: &Path) -> String {
    const MOST: usize = 2000;
    log_tail(&std::fs::read(path).unwrap_or_default(), MOST)
}

/// The pipe that a guest's console is written to: its end to read, for [`console_sink`], and its end to write.
pub(crate) fn console_pipe(dir: &Path) -> Result<(Stdio, Stdio), Error> {
    let (from, to) = std::io::pipe().map_err(|source| Error::File {
        what: "create the console pipe of",
        path: dir.to_owned(),
        source,
    })?;
    Ok((from.into(), to.into()))
}

/// Starts the console's companion; what is written to the pipe goes into the console's log. The VMM is started before
/// it, so that it comes up while the VMM does; the pipe holds what the guest says until then.
pub(crate) fn console_sink(program: &Path, dir: &Path, from: Stdio) -> Result<Starting, Error> {
    let args = [OsStr::new("console-sink"), dir.as_os_str()];
    let given = Given::default();
    Starting::spawn("the console's log", program, args, dir, from, Output::Log, given)
}
