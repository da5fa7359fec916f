//! Where the tests are: a repository of the user's and one that came from elsewhere.

use std::path::{Path, PathBuf};
use std::process::Command;

use banger_git::{Error, Repository, View};

/// A directory with a repository `mine`, which is the user's and private, and `theirs`, which came from elsewhere.
pub(crate) struct Place(tempfile::TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        for name in ["mine", "theirs"] {
            git(place.path(), &["init", "-q", "-b", "main", name]);
            let dir = place.at(name);
            std::fs::write(dir.join("file"), name).unwrap();
            git(&dir, &["add", "."]);
            git(&dir, &["commit", "-q", "-m", name]);
        }
        place
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.path().canonicalize().unwrap().join(name)
    }

    pub(crate) fn view(&self, name: &str) -> Result<View, Error> {
        View::of(Repository::around(&self.at(name))?, &self.at("scratch"))
    }
}

pub(crate) fn git(dir: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "protocol.file.allow=always"])
        .args(args)
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .envs([("GIT_AUTHOR_NAME", "a"), ("GIT_AUTHOR_EMAIL", "a@b")])
        .envs([("GIT_COMMITTER_NAME", "a"), ("GIT_COMMITTER_EMAIL", "a@b")])
        .output()
        .unwrap();
    assert!(output.status.success(), "{args:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

pub(crate) fn head(view: &View) -> String {
    let args = ["log", "-1", "--format=%s"];
    view.git().line("see HEAD", args).unwrap().unwrap()
}
