//! Running git.

use std::cell::RefCell;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use banger_confined::{Child, Limits, Slow, Told};

use crate::environment::Environment;
use crate::{Error, waits};

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

    /// Runs it. In a work tree it does not wait for what is no file: see [`waits`].
    fn tell<S: AsRef<OsStr>>(
        &self,
        what: &'static str,
        args: impl IntoIterator<Item = S>,
        input: &[u8],
    ) -> Result<Told, Error> {
        let command = self.command(args)?;
        let tree = self.variables.iter().find(|(name, _)| *name == "GIT_WORK_TREE");
        let found = RefCell::new(None);
        let look = || {
            *found.borrow_mut() = tree.and_then(|(_, root)| waits::find(Path::new(root)));
            found.borrow().is_some()
        };
        let after = waits::SLOW;
        let slow = Slow { after, look: &look };
        let told = banger_confined::tell(what, command, self.limits, input, Some(slow)).map_err(failed)?;
        // What never ends, such as a device of zeros, may take all memory before anybody looks.
        if matches!(told.ended, Err(banger_confined::Error::Limit { .. })) && found.borrow().is_none() {
            look();
        }
        match (&told.ended, found.into_inner()) {
            (
                Err(banger_confined::Error::InVain { .. } | banger_confined::Error::Limit { .. }),
                Some(waits),
            ) => Err(waits),
            _ => Ok(told),
        }
    }

    fn ran<S: AsRef<OsStr>>(
        &self,
        what: &'static str,
        args: impl IntoIterator<Item = S>,
        input: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let told = self.tell(what, args, input)?;
        told.ended.map_err(failed)?;
        Ok(told.stdout)
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
        self.ran(what, args, input)
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
        let told = self.tell(what, args, b"")?;
        match told.ended.map_err(failed) {
            Ok(_) => Ok((true, told.stdout)),
            Err(Error::Failed { words, .. }) if words.is_empty() => Ok((false, told.stdout)),
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
            Ok(line) => line,
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
