//! Starting the processes of a machine, so that they outlive us once they are wanted and never before.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use crate::Error;
use crate::inotify::Created;
use crate::process::{Handle, ProcessId};
use crate::within::{Within, enter};

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

/// The output of a process.
pub(crate) enum Output {
    /// Into the machine's `vmm.log`.
    Log,
    /// Into this file or pipe.
    To(Stdio),
}

impl Starting {
    /// Starts `program` in the machine's directory, as the leader of a session of its own, and `within` the network of
    /// another process if one is named.
    pub(crate) fn spawn<S: AsRef<OsStr>>(
        name: &'static str,
        program: &Path,
        args: impl IntoIterator<Item = S>,
        dir: &Path,
        stdin: Stdio,
        stdout: Output,
        within: Option<&ProcessId>,
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
        if let Some(process) = within {
            enter(&mut command, process, Within::Network).map_err(spawn_error)?;
        }
        // SAFETY: setsid(2) is async-signal-safe, and nothing else happens between fork and exec.
        unsafe {
            command.pre_exec(|| rustix::process::setsid().map(drop).map_err(Into::into));
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
    let bytes = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(MOST)..]);
    let printable: String = text.chars().filter(|c| *c == '\n' || !c.is_control()).collect();
    printable.trim().to_owned()
}

/// The pipe that a guest's console is written to: its end to read, for [`console_sink`], and its end to write.
pub(crate) fn console_pipe(dir: &Path) -> Result<(Stdio, Stdio), Error> {
    let (from, to) = std::io::pipe().map_err(|source| Error::File {
        what: "make the console's pipe of",
        path: dir.to_owned(),
        source,
    })?;
    Ok((from.into(), to.into()))
}

/// Starts the console's companion; what is written to the pipe goes into the console's log. The VMM is started before
/// it, so that it comes up while the VMM does; the pipe holds what the guest says until then.
pub(crate) fn console_sink(program: &Path, dir: &Path, from: Stdio) -> Result<Starting, Error> {
    let args = [OsStr::new("console-sink"), dir.as_os_str()];
    Starting::spawn("the console's log", program, args, dir, from, Output::Log, None)
}
