//! The repository on the host, of which nothing is ever written to, as git may see it: see `banger_git`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use banger_git::{Git, Repository, View};

use crate::error::Error;
use crate::source_error::SourceError;

/// A work tree and where its repository is.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// The top of the work tree.
    pub(crate) root: PathBuf,
    /// Where objects and references are.
    pub(crate) common: PathBuf,
    /// The commit of HEAD; none before the first one.
    pub(crate) head: Option<String>,
    /// The branch that is checked out; none when HEAD is detached.
    pub(crate) branch: Option<String>,
    /// What git sees.
    pub(crate) view: Arc<View>,
}

impl Source {
    /// The work tree around `path`; git sees it through a directory in `scratch`.
    pub(crate) fn around(path: &Path, scratch: &Path) -> Result<Self, Error> {
        let view = View::of(Repository::around(path)?, scratch)?;
        let git = view.git();
        Ok(Self {
            root: view.root().to_owned(),
            common: view.common().to_owned(),
            head: commit(&git, "HEAD")?,
            branch: branch(&view, &git)?,
            view: Arc::new(view),
        })
    }

    /// `git` that sees it as it is.
    pub(crate) fn git(&self) -> Git {
        self.view.git()
    }

    /// A file of its git directory, as a copy.
    pub(crate) fn own(&self, name: &str) -> PathBuf {
        self.view.file(name)
    }

    /// The commit that `name` stands for.
    pub(crate) fn commit(&self, name: &str) -> Result<Option<String>, Error> {
        commit(&self.git(), name)
    }

    /// The remote from which objects are missing that were promised (git-clone(1), `--filter`); none where all are here.
    pub(crate) fn promisor(&self) -> Option<String> {
        let settings = self.view.local().iter();
        settings.clone().find_map(|setting| {
            let named = setting.key.strip_prefix("remote.")?.strip_suffix(".promisor")?;
            let of_extension = || {
                settings
                    .clone()
                    .find(|setting| setting.key == "extensions.partialclone")
            };
            match &setting.value[..] {
                "true" => Some(named.to_owned()),
                _ => of_extension().map(|setting| setting.value.clone()),
            }
        })
    }

    /// What failed because objects of `commit` are missing that were promised, as that; any other error as it is.
    pub(crate) fn of_partial(&self, commit: &str, error: Error) -> Error {
        match error {
            Error::Repository(source @ banger_git::Error::Failed { .. }) if self.promisor().is_some() => {
                SourceError::Partial {
                    root: self.root.clone(),
                    commit: commit.to_owned(),
                    source,
                }
                .into()
            }
            error => error,
        }
    }

    /// The commits at which its own history was cut off.
    pub(crate) fn shallow(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.own("shallow")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

fn commit(git: &Git, name: &str) -> Result<Option<String>, Error> {
    let revision = format!("{name}^{{commit}}");
    let args = ["rev-parse", "--verify", "--quiet", "--end-of-options", &revision];
    Ok(git.line("find the commit", args)?)
}

fn branch(view: &View, git: &Git) -> Result<Option<String>, Error> {
    let head = std::fs::read_to_string(view.file("HEAD")).unwrap_or_default();
    match head.trim_end().strip_prefix("ref: refs/heads/") {
        // Where references are in tables, the file has a name that is none.
        Some(name) if name != ".invalid" => Ok(Some(name.to_owned())),
        _ => Ok(git.line("name the branch", ["symbolic-ref", "--quiet", "--short", "HEAD"])?),
    }
}
