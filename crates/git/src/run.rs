//! Running git.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use banger_confined::{Child, Limits, Ran};

use crate::Error;
use crate::environment::Environment;

/// What git may take that looks at a user's repository.
pub const OWN: Limits = Limits {
    memory: 2 << 30,
    cpu: Duration::from_secs(600),
    time: Some(Duration::from_secs(900)),
    output: 128 << 20,
};

/// What git may take that packs it: a large history takes memory and time.
pub const PACKING: Limits = Limits {
    memory: 4 << 30,
    cpu: Duration::from_secs(7200),
    time: Some(Duration::from_secs(7200)),
    output: 1 << 30,
};

/// Settings of every call. They count before those of any file.
const SETTINGS: [&str; 18] = [
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "core.pager=cat",
    "core.askPass=false",
    "credential.helper=",
    // A split index would be joined beside the source's own.
    "core.splitIndex=false",
    "core.untrackedCache=false",
    // Making one writes trees.
    "index.sparse=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "submodule.recurse=false",
    "protocol.allow=never",
    "protocol.file.allow=always",
    "core.logAllRefUpdates=false",
    // Mapped files count as address space.
    "core.packedGitWindowSize=64m",
    "core.packedGitLimit=512m",
    "core.deltaBaseCacheLimit=96m",
    "core.bigFileThreshold=64m",
];

/// `git` in a directory.
#[derive(Debug, Clone)]
pub struct Git {
    dir: PathBuf,
    /// The top of a work tree in which no program is looked for.
    root: Option<PathBuf>,
    variables: Vec<(&'static str, OsString)>,
    settings: Vec<&'static str>,
    limits: Limits,
    /// Made for the first command, and for all clones.
    environment: Arc<OnceLock<Environment>>,
}

impl Git {
    /// `git` in a directory of ours, which finds no repository there or above.
    #[must_use]
    pub fn alone(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            root: None,
            variables: vec![("GIT_DIR", "/dev/null".into())],
            settings: Vec::new(),
            limits: OWN,
            environment: Arc::default(),
        }
    }

    /// The same in another directory.
    pub(crate) fn in_dir(mut self, dir: &Path) -> Self {
        self.dir = dir.to_owned();
        self
    }

    /// `git` with the git directory `git_dir`, which we made.
    #[must_use]
    pub fn in_our_dir(git_dir: &Path) -> Self {
        Self::alone(git_dir).with("GIT_DIR", git_dir)
    }

    pub(crate) fn in_work_tree(root: &Path, dir: &Path, git_dir: &Path) -> Self {
        Self::alone(dir)
            .with("GIT_DIR", git_dir)
            .with("GIT_WORK_TREE", root)
            .distrusting(root)
    }

    /// The same, where no program is looked for below `root`, a work tree.
    #[must_use]
    pub fn distrusting(mut self, root: &Path) -> Self {
        self.root = Some(root.to_owned());
        self.environment = Arc::default();
        self
    }

    /// The same with a variable.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<OsString>) -> Self {
        self.variables.retain(|(known, _)| *known != name);
        self.variables.push((name, value.into()));
        self
    }

    /// The same with a setting, `key=value`.
    #[must_use]
    pub fn setting(mut self, setting: &'static str) -> Self {
        self.settings.push(setting);
        self
    }

    /// The same with other limits.
    #[must_use]
    pub fn within(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Result<Command, Error> {
        let environment = self
            .environment
            .get_or_init(|| Environment::of(self.root.as_deref()));
        let program = environment.program.as_ref().ok_or(Error::NoGit)?;
        let mut command = banger_confined::command(program, self.limits);
        for setting in SETTINGS.iter().chain(&self.settings) {
            command.args(["-c", setting]);
        }
        command
            .current_dir(&self.dir)
            .args(args)
            .stdin(Stdio::null())
            .envs(environment.variables.iter().map(|(name, value)| (name, value)))
            .envs(self.variables.iter().map(|(name, value)| (name, value)));
        Ok(command)
    }

    fn ran<S: AsRef<OsStr>>(
        &self,
        what: &'static str,
        args: impl IntoIterator<Item = S>,
        input: &[u8],
    ) -> Result<Ran, Error> {
        let command = self.command(args)?;
        banger_confined::run(what, command, self.limits, input).map_err(failed)
    }

    /// What `git` with these arguments prints.
    ///
    /// # Errors
    /// When it fails.
    pub fn run<S: AsRef<OsStr>>(
        &self,
        what: &'static str,
        args: impl IntoIterator<Item = S>,
    ) -> Result<Vec<u8>, Error> {
        self.feed(what, args, b"")
    }

    /// What `git` prints when it reads `input`.
    ///
    /// # Errors
    /// When it fails.
    pub fn feed<S: AsRef<OsStr>>(
        &self,
        what: &'static str,
        args: impl IntoIterator<Item = S>,
        input: &[u8],
    ) -> Result<Vec<u8>, Error> {
        Ok(self.ran(what, args, input)?.stdout)
    }

    /// Whether `git` succeeds. That it fails says what is not of interest here; that it could not be run, or met a limit, is
    /// an error.
    ///
    /// # Errors
    /// When it could not be run to its end.
    pub fn attempt<S: AsRef<OsStr>>(
        &self,
        what: &'static str,
        args: impl IntoIterator<Item = S>,
    ) -> Result<bool, Error> {
        match self.ran(what, args, b"") {
            Ok(_) => Ok(true),
            Err(Error::Failed { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// What `git` prints, and whether it succeeds: it fails without a word where its answer is no.
    ///
    /// # Errors
    /// When it fails otherwise.
    pub fn told<S: AsRef<OsStr>>(
        &self,
        what: &'static str,
        args: impl IntoIterator<Item = S>,
    ) -> Result<(bool, Vec<u8>), Error> {
        let mut child = self.start(what, args)?;
        drop(child.take_stdin());
        let mut told = Vec::new();
        if let Some(stdout) = child.take_stdout() {
            let read = stdout.take(self.limits.output).read_to_end(&mut told);
            read.map_err(|source| failed(banger_confined::Error::Read { what, source }))?;
        }
        match child.wait().map_err(failed) {
            Ok(_) => Ok((true, told)),
            Err(Error::Failed { words, .. }) if words.is_empty() => Ok((false, told)),
            Err(error) => Err(error),
        }
    }

    /// The one line that `git` prints, or nothing when it fails without a word (as `--quiet` makes it).
    ///
    /// # Errors
    /// When it fails in any other way, or prints what is no text.
    pub fn line<S: AsRef<OsStr>>(
        &self,
        what: &'static str,
        args: impl IntoIterator<Item = S>,
    ) -> Result<Option<String>, Error> {
        let mut line = match self.ran(what, args, b"") {
            Ok(ran) => ran.stdout,
            Err(Error::Failed { words, .. }) if words.is_empty() => return Ok(None),
            Err(error) => return Err(error),
        };
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        String::from_utf8(line)
            .map(Some)
            .map_err(|_| Error::Answer { what })
    }

    /// The path that `git` prints.
    ///
    /// # Errors
    /// When it fails.
    pub fn path<S: AsRef<OsStr>>(
        &self,
        what: &'static str,
        args: impl IntoIterator<Item = S>,
    ) -> Result<PathBuf, Error> {
        let mut line = self.run(what, args)?;
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        Ok(PathBuf::from(OsString::from_vec(line)))
    }

    /// Starts `git` with pipes for what it reads and prints. Dropping it ends it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start<S: AsRef<OsStr>>(
        &self,
        what: &'static str,
        args: impl IntoIterator<Item = S>,
    ) -> Result<Child, Error> {
        let mut command = self.command(args)?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        Child::spawn(what, command, self.limits).map_err(failed)
    }
}

/// How a `git` that was started ended.
impl From<banger_confined::Error> for Error {
    fn from(error: banger_confined::Error) -> Self {
        failed(error)
    }
}

fn failed(error: banger_confined::Error) -> Error {
    match error {
        banger_confined::Error::Failed { what, words, .. } => Error::Failed { what, words },
        error => Error::Child(error),
    }
}

/// The parts of output that `-z` separates.
pub fn records(output: &[u8]) -> impl Iterator<Item = &[u8]> {
    output
        .split(|&byte| byte == 0)
        .filter(|record| !record.is_empty())
}
