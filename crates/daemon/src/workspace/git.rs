//! Calling `git`. The source repository is never written to: no optional locks, no index refresh, no hooks of its
//! file-system monitor. What has to be written goes where [`Git::with`] points it.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::Error;

/// Settings of every call.
const SETTINGS: [&str; 6] = [
    "core.fsmonitor=false",
    // A split index would be joined beside the source's own.
    "core.splitIndex=false",
    "core.untrackedCache=false",
    // Making one writes trees.
    "index.sparse=false",
    "gc.auto=0",
    "maintenance.auto=false",
];

/// What surrounds the daemon must not redirect git to another repository.
const FOREIGN: [&str; 9] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
    "GIT_SHALLOW_FILE",
];

/// `git` in a directory.
#[derive(Debug, Clone)]
pub(crate) struct Git {
    dir: PathBuf,
    variables: Vec<(&'static str, OsString)>,
}

impl Git {
    /// `git` in `dir`.
    pub(crate) fn in_dir(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            variables: Vec::new(),
        }
    }

    /// The same with a variable.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<OsString>) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    /// A `git` with these arguments, to be started.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new("git");
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        command.current_dir(&self.dir).args(args).stdin(Stdio::null());
        for variable in FOREIGN {
            command.env_remove(variable);
        }
        command
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("GIT_TERMINAL_PROMPT", "0")
            // Objects as they are, and none from the network.
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .env("GIT_NO_LAZY_FETCH", "1")
            .env("GIT_LFS_SKIP_SMUDGE", "1")
            // File names are what they are called, whatever they contain.
            .env("GIT_LITERAL_PATHSPECS", "1")
            .env("LC_ALL", "C.UTF-8")
            .envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// What `git` with these arguments prints.
    pub(crate) fn run<S: AsRef<OsStr>>(
        &self,
        what: &'static str,
        args: impl IntoIterator<Item = S>,
    ) -> Result<Vec<u8>, Error> {
        printed(what, self.output(what, args)?)
    }

    /// Runs `git` and does not ask whether it did all: it says by failing what is not of interest here.
    pub(crate) fn attempt<S: AsRef<OsStr>>(
        &self,
        what: &'static str,
        args: impl IntoIterator<Item = S>,
    ) -> Result<(), Error> {
        self.output(what, args).map(drop)
    }

    fn output<S: AsRef<OsStr>>(
        &self,
        what: &'static str,
        args: impl IntoIterator<Item = S>,
    ) -> Result<Output, Error> {
        self.command(args)
            .output()
            .map_err(|source| Error::Run { what, source })
    }

    /// The one line that `git` prints, or nothing when it fails without a word (as `--quiet` makes it).
    pub(crate) fn line<S: AsRef<OsStr>>(
        &self,
        what: &'static str,
        args: impl IntoIterator<Item = S>,
    ) -> Result<Option<String>, Error> {
        let line = self.bytes_line(what, args)?;
        line.map(|line| String::from_utf8(line).map_err(|_| Error::Answer { what }))
            .transpose()
    }

    /// The same of any bytes.
    pub(crate) fn bytes_line<S: AsRef<OsStr>>(
        &self,
        what: &'static str,
        args: impl IntoIterator<Item = S>,
    ) -> Result<Option<Vec<u8>>, Error> {
        let output = self.output(what, args)?;
        if !output.status.success() && output.stderr.is_empty() {
            return Ok(None);
        }
        let mut line = printed(what, output)?;
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        Ok(Some(line))
    }

    /// The path that `git` prints.
    pub(crate) fn path<S: AsRef<OsStr>>(
        &self,
        what: &'static str,
        args: impl IntoIterator<Item = S>,
    ) -> Result<Option<PathBuf>, Error> {
        let line = self.bytes_line(what, args)?;
        Ok(line.map(|line| PathBuf::from(OsString::from_vec(line))))
    }

    /// What `git` prints when it reads `input`.
    pub(crate) fn feed<S: AsRef<OsStr>>(
        &self,
        what: &'static str,
        args: impl IntoIterator<Item = S>,
        input: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let run = |source| Error::Run { what, source };
        let mut child = self
            .command(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(run)?;
        let stdin = child.stdin.take();
        // Written beside the reading, or both sides could wait for each other with full pipes.
        let output = std::thread::scope(|scope| {
            // A git that fails closes its input; what it printed says why.
            scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(input)));
            child.wait_with_output()
        });
        printed(what, output.map_err(run)?)
    }
}

impl Git {
    /// Starts `git` with pipes for all that it reads and prints. Dropping it ends it.
    pub(crate) fn start<S: AsRef<OsStr>>(
        &self,
        what: &'static str,
        args: impl IntoIterator<Item = S>,
    ) -> Result<tokio::process::Child, Error> {
        tokio::process::Command::from(self.command(args))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| Error::Run { what, source })
    }
}

/// What a `git` that has ended printed.
pub(crate) fn printed(what: &'static str, output: Output) -> Result<Vec<u8>, Error> {
    if output.status.success() {
        return Ok(output.stdout);
    }
    let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Error::Git { what, words })
}

/// The parts of output that `-z` separates.
pub(crate) fn records(output: &[u8]) -> impl Iterator<Item = &[u8]> {
    output
        .split(|&byte| byte == 0)
        .filter(|record| !record.is_empty())
}
