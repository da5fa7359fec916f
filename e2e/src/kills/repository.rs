//! The repository whose workspace verbs are interrupted.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::Home;

/// Files that the guest changes and makes.
const WORK: [&str; 4] = ["changed", "new-1", "new-2", "dir/new-3"];

/// A repository of the host's.
#[derive(Debug)]
pub(super) struct Repository(PathBuf);

impl Repository {
    /// A new one, with some files and a commit.
    pub(super) fn make(path: &Path) -> Result<Self> {
        fs::create_dir_all(path.join("dir"))?;
        let this = Self(path.to_owned());
        this.git(&["init", "--quiet", "-b", "main"])?;
        this.git(&["config", "user.name", "u"])?;
        this.git(&["config", "user.email", "u@u"])?;
        for number in 0..50 {
            fs::write(
                path.join(format!("dir/f{number}")),
                format!("{number}\n").repeat(2_000),
            )?;
        }
        fs::write(path.join("changed"), "first\n")?;
        this.git(&["add", "."])?;
        this.git(&["commit", "--quiet", "-m", "first"])?;
        Ok(this)
    }

    fn git(&self, args: &[&str]) -> Result<String> {
        let git = Command::new("git").arg("-C").arg(&self.0).args(args).output()?;
        let said = String::from_utf8_lossy(&git.stderr);
        ensure!(git.status.success(), "git {}: {said}", args.join(" "));
        Ok(String::from_utf8_lossy(&git.stdout).into_owned())
    }

    /// Places it in `vm` as it was first, and lets the guest work on it.
    pub(super) fn place(&self, home: &Home, round: usize) -> Result<()> {
        self.git(&["checkout", "--quiet", "-f", "main"])?;
        self.git(&["clean", "-q", "-f", "-d"])?;
        let path = self.0.display().to_string();
        home.banger(["vm", "workspace", "prepare", "vm", &path, "--force"])?
            .ok()?;
        let vm = super::find(home)?.context("the VM")?;
        let there = home.path().join("run/m").join(&vm.id).join("root/root/repo");
        for file in WORK {
            fs::write(there.join(file), format!("of round {round}\n"))?;
        }
        Ok(())
    }

    /// Nothing of it is broken or locked, and the guest's work is in the work tree as a whole or not at all.
    pub(super) fn is_whole(&self) -> Result<()> {
        self.git(&["fsck", "--strict", "--no-dangling"])?;
        let locks = Command::new("find")
            .arg(self.0.join(".git"))
            .args(["-name", "*.lock", "-o", "-name", "tmp_*"])
            .output()?;
        let locks = String::from_utf8_lossy(&locks.stdout).into_owned();
        ensure!(locks.is_empty(), "left in the repository: {locks}");
        let has = WORK
            .map(|file| fs::read_to_string(self.0.join(file)).is_ok_and(|text| text.starts_with("of round")));
        ensure!(
            has == [has[0]; 4],
            "of the guest's work, the work tree has {has:?} of {WORK:?}"
        );
        Ok(())
    }
}
