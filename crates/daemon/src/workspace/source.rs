//! The repository on the host, of which nothing is ever written to.

use std::path::{Path, PathBuf};

use super::Error;
use super::git::Git;

/// A work tree and where its repository is. In a linked worktree, some of that is the worktree's own.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// The top of the work tree.
    pub(crate) root: PathBuf,
    /// Where HEAD and the index are.
    own: PathBuf,
    /// Where objects and references are.
    pub(crate) common: PathBuf,
    /// The commit of HEAD; none before the first one.
    pub(crate) head: Option<String>,
    /// The branch that is checked out; none when HEAD is detached.
    pub(crate) branch: Option<String>,
}

impl Source {
    /// The work tree around `path`.
    pub(crate) fn around(path: &Path) -> Result<Self, Error> {
        let root = top_of(path)?;
        let git = Git::in_dir(&root);
        let what = "find the repository";
        let dir = |which: &str| {
            let found = git.path(what, ["rev-parse", "--path-format=absolute", which])?;
            found.ok_or(Error::Answer { what })
        };
        Ok(Self {
            own: dir("--git-dir")?,
            common: dir("--git-common-dir")?,
            head: commit(&git, "HEAD")?,
            branch: git.line("name the branch", ["symbolic-ref", "--quiet", "--short", "HEAD"])?,
            root,
        })
    }

    /// `git` that sees it as it is.
    pub(crate) fn git(&self) -> Git {
        Git::in_dir(&self.root)
    }

    /// A file of this work tree's own part of the repository.
    pub(crate) fn own(&self, name: &str) -> PathBuf {
        self.own.join(name)
    }

    /// A file of the part that all its work trees share.
    pub(crate) fn shared(&self, name: &str) -> PathBuf {
        self.common.join(name)
    }

    /// The commit that `name` stands for.
    pub(crate) fn commit(&self, name: &str) -> Result<Option<String>, Error> {
        commit(&self.git(), name)
    }

    /// The commits at which its own history was cut off.
    pub(crate) fn shallow(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.shared("shallow")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

/// The top of the work tree around `path`.
pub(crate) fn top_of(path: &Path) -> Result<PathBuf, Error> {
    let metadata = std::fs::metadata(path).map_err(|source| Error::Enter {
        path: path.to_owned(),
        source,
    })?;
    let dir = if metadata.is_dir() {
        path
    } else {
        path.parent().unwrap_or(path)
    };
    match Git::in_dir(dir).path("find the repository", ["rev-parse", "--show-toplevel"]) {
        Ok(Some(top)) if !top.as_os_str().is_empty() => Ok(top),
        Ok(_) => Err(Error::NoRepository(path.to_owned())),
        Err(Error::Git { words, .. })
            if words.contains("not a git repository") || words.contains("must be run in a work tree") =>
        {
            Err(Error::NoRepository(path.to_owned()))
        }
        Err(error) => Err(error),
    }
}

fn commit(git: &Git, name: &str) -> Result<Option<String>, Error> {
    let revision = format!("{name}^{{commit}}");
    git.line(
        "find the commit",
        ["rev-parse", "--verify", "--quiet", "--end-of-options", &revision],
    )
}
