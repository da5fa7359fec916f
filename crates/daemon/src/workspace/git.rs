//! Calling `git`. The source repository is never written to: no optional locks, no index refresh, no hooks of its
//! file-system monitor.

use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::Error;

/// `git` in a directory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Git<'a> {
    dir: &'a Path,
}

impl<'a> Git<'a> {
    /// `git` in `dir`.
    pub(crate) const fn in_dir(dir: &'a Path) -> Self {
        Self { dir }
    }

    fn command<S: AsRef<OsStr>>(self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new("git");
        command
            .current_dir(self.dir)
            .args([
                "-c",
                "core.fsmonitor=false",
                "-c",
                "gc.auto=0",
                "-c",
                "maintenance.auto=false",
            ])
            .args(args)
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::null());
        // What surrounds the daemon must not redirect git to another repository.
        for variable in [
            "GIT_DIR",
            "GIT_WORK_TREE",
            "GIT_INDEX_FILE",
            "GIT_OBJECT_DIRECTORY",
            "GIT_PREFIX",
        ] {
            command.env_remove(variable);
        }
        command
    }

    /// What `git` with these arguments prints.
    pub(crate) fn run<S: AsRef<OsStr>>(
        self,
        what: &'static str,
        args: impl IntoIterator<Item = S>,
    ) -> Result<Vec<u8>, Error> {
        let output = self
            .command(args)
            .output()
            .map_err(|source| Error::Run { what, source })?;
        printed(what, output)
    }

    /// The one line that `git` prints, or nothing when it fails without a word (as `--quiet` makes it).
    pub(crate) fn line<S: AsRef<OsStr>>(
        self,
        what: &'static str,
        args: impl IntoIterator<Item = S>,
    ) -> Result<Option<String>, Error> {
        let output = self
            .command(args)
            .output()
            .map_err(|source| Error::Run { what, source })?;
        if !output.status.success() && output.stderr.is_empty() {
            return Ok(None);
        }
        let text = String::from_utf8(printed(what, output)?).map_err(|_| Error::Answer { what })?;
        Ok(Some(text.trim_end_matches('\n').to_owned()))
    }

    /// What `git` prints when it reads `input`.
    pub(crate) fn feed<S: AsRef<OsStr>>(
        self,
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
        let mut stdin = child.stdin.take().expect("it was asked for");
        // Written beside the reading, or both sides could wait for each other with full pipes.
        let output = std::thread::scope(|scope| {
            // A git that fails closes its input; what it printed says why.
            scope.spawn(move || stdin.write_all(input));
            child.wait_with_output()
        });
        printed(what, output.map_err(run)?)
    }
}

fn printed(what: &'static str, output: Output) -> Result<Vec<u8>, Error> {
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
