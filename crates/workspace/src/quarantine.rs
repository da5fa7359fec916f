//! A repository of our own for what comes from a guest, until it is known to be sound. It can see the user's objects; the
//! user's repository sees nothing of it.
//!
//! No setting, hook, filter or path of the guest's is ever used: what comes is a pack and names, and both are checked.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use banger_confined::Child;

use banger_git::{Git, Limits, PACKING};
use tokio::io::AsyncWriteExt;
use tokio::process::ChildStdin;

use crate::blocking::blocking;
use crate::error::Error;
use crate::guest_error::GuestError;
use crate::packs::Packs;
use crate::remote::MOST;
use crate::remote::printable;
use crate::source::Source;

/// Blobs beyond this are checked as they come and never held whole, unless they are differences from others.
const BIG: &str = "core.bigFileThreshold=16m";

/// What git may take that reads what a guest sent. How long it takes is the guest's and the network's.
const FOREIGN: Limits = Limits {
    memory: 768 << 20,
    cpu: Duration::from_secs(1800),
    time: None,
    output: 16 << 20,
};

/// And to see which commits are no longer a part of the guest's: where that takes more, all of them count as dropped.
const COMPARING: Limits = Limits {
    time: Some(Duration::from_secs(60)),
    ..FOREIGN
};

/// The repository. Gone when this is dropped.
#[derive(Debug)]
pub(crate) struct Quarantine {
    dir: tempfile::TempDir,
    root: PathBuf,
}

/// A pack that is coming in.
#[derive(Debug)]
pub(crate) struct Incoming {
    child: Child,
    stdin: Option<ChildStdin>,
}

const WHAT: &str = "check the data from the guest";

impl Quarantine {
    /// Makes one in `scratch`, beside `source`.
    pub(crate) fn make(source: &Source, scratch: &Path) -> Result<Self, Error> {
        let made = std::fs::create_dir_all(scratch)
            .and_then(|()| tempfile::Builder::new().prefix("quarantine-").tempdir_in(scratch));
        let dir = made.map_err(|error| Error::file("create a directory in", scratch, error))?;
        let quarantine = Self {
            dir,
            root: source.root.clone(),
        };
        let format = source
            .git()
            .line("get the object format", ["rev-parse", "--show-object-format"])?;
        let format = format!("--object-format={}", format.as_deref().unwrap_or("sha1"));
        let args = ["init", "--quiet", "--bare", "--template=", &format, "."];
        quarantine.git().run("create a repository", args)?;
        let write = |name: &str, bytes: Vec<u8>| {
            let path = quarantine.path().join(name);
            let dir = path.parent().map_or(Ok(()), std::fs::create_dir_all);
            dir.and_then(|()| std::fs::write(&path, bytes))
                .map_err(|error| Error::file("write", &path, error))
        };
        let mut alternates = source.view.alternate().into_vec();
        alternates.push(b'\n');
        write("objects/info/alternates", alternates)?;
        if let Ok(shallow) = std::fs::read(source.own("shallow")) {
            write("shallow", shallow)?;
        }
        Ok(quarantine)
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn git(&self) -> Git {
        Git::in_our_dir(self.path())
            .distrusting(&self.root)
            .within(FOREIGN)
            .setting(BIG)
            .setting("pack.threads=2")
    }

    /// Begins to take a pack in.
    pub(crate) fn begin(&self) -> Result<Incoming, Error> {
        let most = format!("--max-input-size={MOST}");
        let args = ["index-pack", "--stdin", "--strict", "--fix-thin", &most];
        let mut child = self.git().start(WHAT, args)?;
        let stdin = child.take_stdin().map(ChildStdin::from_std).transpose();
        let stdin = stdin.map_err(Error::Event)?;
        Ok(Incoming { child, stdin })
    }

    /// Makes sure that each of `tips` is a commit with all that belongs to it, given that those of `known` are.
    pub(crate) fn check(&self, tips: &[String], known: &[String]) -> Result<(), Error> {
        let lines = |names: &[String]| -> String { names.iter().map(|name| format!("{name}\n")).collect() };
        let kinds = self.git().feed(
            WHAT,
            ["cat-file", "--batch-check=%(objecttype)"],
            lines(tips).as_bytes(),
        )?;
        if let Some((tip, _)) = tips
            .iter()
            .zip(String::from_utf8_lossy(&kinds).lines())
            .find(|(_, kind)| *kind != "commit")
        {
            return Err(GuestError::Unsound(format!("{tip} is not a received commit")).into());
        }
        let input = format!("{}--not\n{}", lines(tips), lines(known));
        let args = ["rev-list", "--objects", "--quiet", "--stdin"];
        let walked = self.git().feed(WHAT, args, input.as_bytes());
        walked.map(drop).map_err(unsound)
    }

    /// Whether a commit is here or in the user's repository.
    pub(crate) fn has(&self, commit: &str) -> Result<bool, Error> {
        let name = format!("{commit}^{{commit}}");
        Ok(self.git().attempt(WHAT, ["cat-file", "-e", &name])?)
    }

    /// Which of `commits` are no part of what one of `tips` has; all of them where that cannot be told within bounds.
    pub(crate) fn outside(
        &self,
        tips: &[String],
        commits: &BTreeSet<&String>,
    ) -> Result<BTreeSet<String>, Error> {
        let all = || commits.iter().map(|commit| (*commit).clone()).collect();
        if commits.is_empty() {
            return Ok(all());
        }
        let names = commits.iter().map(|commit| format!("{commit}\n"));
        let excluded = tips.iter().map(|tip| format!("^{tip}\n"));
        let input: String = names.chain(excluded).collect();
        let args = ["rev-list", "--stdin"];
        let listed = self.git().within(COMPARING).feed(WHAT, args, input.as_bytes());
        match listed {
            Ok(listed) => {
                let listed = String::from_utf8_lossy(&listed);
                let outside = listed
                    .lines()
                    .filter(|line| commits.contains(&(*line).to_owned()));
                Ok(outside.map(str::to_owned).collect())
            }
            Err(error @ banger_git::Error::Child(banger_confined::Error::Cancelled { .. })) => {
                Err(error.into())
            }
            Err(_) => Ok(all()),
        }
    }

    /// Moves objects and references over, `refs` being all of them or none. Commits of `known` are there with all that belongs to
    /// them.
    pub(crate) fn hand_over(
        &self,
        source: &Source,
        refs: &[(String, String)],
        known: &[String],
    ) -> Result<(), Error> {
        let tips: Vec<String> = refs.iter().map(|(commit, _)| commit.clone()).collect();
        let git = self.git().within(PACKING);
        Packs::make(&git, self.path(), &tips, known)?.place(&source.view.objects())?;
        self.name_in(source, refs)
    }

    /// Names what is in the user's objects by now: git sees that nothing of it is missing, and moves nothing.
    fn name_in(&self, source: &Source, refs: &[(String, String)]) -> Result<(), Error> {
        let mut made = String::new();
        let mut specs = String::new();
        for (number, (commit, name)) in refs.iter().enumerate() {
            made.push_str(&format!("create refs/pulled/{number} {commit}\n"));
            specs.push_str(&format!("+refs/pulled/{number}:{name}\n"));
        }
        let args = ["update-ref", "--stdin"];
        self.git()
            .feed("name the received objects", args, made.as_bytes())?;
        let options = [
            "fetch",
            "--quiet",
            "--atomic",
            "--no-tags",
            "--no-prune",
            "--no-write-fetch-head",
            "--no-recurse-submodules",
            "--no-auto-maintenance",
            "--refmap=",
            "--stdin",
        ];
        let mut args = options.map(OsString::from).to_vec();
        args.push(self.path().into());
        let git = source
            .git()
            .setting("fetch.writeCommitGraph=false")
            .setting("fetch.fsckObjects=true");
        let git = git.setting("core.bigFileThreshold=16m").within(PACKING);
        git.feed("store the received objects", args, specs.as_bytes())?;
        Ok(())
    }
}

/// An error of a git that looked at what a guest sent.
fn unsound(error: banger_git::Error) -> Error {
    match error {
        banger_git::Error::Failed { words, .. } => GuestError::Unsound(printable(words.as_bytes())).into(),
        error => error.into(),
    }
}

impl Incoming {
    /// Takes the next bytes. One that was refused takes no more, and [`Incoming::end`] says why.
    pub(crate) async fn take(&mut self, bytes: &[u8]) -> bool {
        let Some(stdin) = &mut self.stdin else {
            return false;
        };
        stdin.write_all(bytes).await.is_ok()
    }

    /// Ends it.
    pub(crate) async fn end(mut self) -> Result<(), Error> {
        drop(self.stdin.take());
        // What it prints is a line, which the pipe holds.
        let child = self.child;
        blocking(WHAT, move || {
            child.wait().map(drop).map_err(|error| unsound(error.into()))
        })
        .await
    }
}
