//! A repository of our own for what comes from a guest, until it is known to be sound. It can see the user's objects; the
//! user's repository sees nothing of it.
//!
//! No setting, hook, filter or path of the guest's is ever used: what comes is a pack and names, and both are checked.

use std::ffi::OsString;
use std::path::Path;

use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStdin};

use super::git::{Git, printed};
use super::remote::printable;
use super::source::Source;
use super::stage::alternate;
use super::{Error, MOST};

/// Blobs beyond this are checked as they come and never held whole.
const BIG: &str = "core.bigFileThreshold=16m";

/// The repository. Gone when this is dropped.
#[derive(Debug)]
pub(crate) struct Quarantine {
    dir: tempfile::TempDir,
}

/// A pack that is coming in.
#[derive(Debug)]
pub(crate) struct Incoming {
    child: Child,
    stdin: Option<ChildStdin>,
}

const WHAT: &str = "check what the guest sent";

fn run(source: std::io::Error) -> Error {
    Error::Run { what: WHAT, source }
}

impl Quarantine {
    /// Makes one in `scratch`, beside `source`.
    pub(crate) fn make(source: &Source, scratch: &Path) -> Result<Self, Error> {
        let made = std::fs::create_dir_all(scratch)
            .and_then(|()| tempfile::Builder::new().prefix("quarantine-").tempdir_in(scratch));
        let dir = made.map_err(|error| Error::file("make a directory in", scratch, error))?;
        let quarantine = Self { dir };
        let format = source
            .git()
            .line("tell its object format", ["rev-parse", "--show-object-format"])?;
        let format = format!("--object-format={}", format.as_deref().unwrap_or("sha1"));
        let args = ["init", "--quiet", "--bare", "--template=", &format, "."];
        // Before it is a repository, it must not be looked for.
        Git::in_dir(quarantine.path()).run("make a repository", args)?;
        let write = |name: &str, bytes: Vec<u8>| {
            let path = quarantine.path().join(name);
            let dir = path.parent().map_or(Ok(()), std::fs::create_dir_all);
            dir.and_then(|()| std::fs::write(&path, bytes))
                .map_err(|error| Error::file("write", &path, error))
        };
        write("objects/info/alternates", alternate(&source.shared("objects")))?;
        if let Ok(shallow) = std::fs::read(source.shared("shallow")) {
            write("shallow", shallow)?;
        }
        Ok(quarantine)
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn git(&self) -> Git {
        Git::in_dir(self.path()).with("GIT_DIR", self.path())
    }

    /// Begins to take a pack in.
    pub(crate) fn begin(&self) -> Result<Incoming, Error> {
        let most = format!("--max-input-size={MOST}");
        let args = [
            "-c",
            BIG,
            "index-pack",
            "--stdin",
            "--strict",
            "--fix-thin",
            &most,
        ];
        let mut child = self.git().start(WHAT, args)?;
        let stdin = child.stdin.take();
        Ok(Incoming { child, stdin })
    }

    /// Makes sure that each of `tips` is a commit with all that belongs to it, given that those of `known` are.
    pub(crate) fn check(&self, tips: &[String], known: &[String]) -> Result<(), Error> {
        let unsound = |error| match error {
            Error::Git { words, .. } => Error::Unsound(printable(words.as_bytes())),
            error => error,
        };
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
            return Err(Error::Unsound(format!("{tip} is no commit that came")));
        }
        let input = format!("{}--not\n{}", lines(tips), lines(known));
        let args = ["rev-list", "--objects", "--quiet", "--stdin"];
        let walked = self.git().feed(WHAT, args, input.as_bytes());
        walked.map(drop).map_err(unsound)
    }

    /// Whether `commit` is a part of what one of `tips` has.
    pub(crate) fn contains(&self, tips: &[String], commit: &str) -> bool {
        tips.iter().any(|tip| {
            let args = ["merge-base", "--is-ancestor", commit, tip];
            let output = self.git().command(args).output();
            output.is_ok_and(|output| output.status.success())
        })
    }

    /// Moves objects and references over: all of them or none.
    pub(crate) fn hand_over(&self, source: &Source, refs: &[(String, String)]) -> Result<(), Error> {
        let mut made = String::new();
        let mut specs = String::new();
        for (number, (commit, name)) in refs.iter().enumerate() {
            made.push_str(&format!("create refs/pulled/{number} {commit}\n"));
            specs.push_str(&format!("+refs/pulled/{number}:{name}\n"));
        }
        self.git()
            .feed("name what came", ["update-ref", "--stdin"], made.as_bytes())?;
        let settings = [
            "protocol.file.allow=always",
            "core.hooksPath=/dev/null",
            "core.logAllRefUpdates=false",
            "fetch.writeCommitGraph=false",
            "fetch.fsckObjects=true",
        ];
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
        let mut args: Vec<OsString> = Vec::new();
        for setting in settings {
            args.extend(["-c".into(), setting.into()]);
        }
        args.extend(options.map(OsString::from));
        args.push(self.path().into());
        let fetched = source.git().feed("take over what came", args, specs.as_bytes());
        fetched.map(drop)
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
        let output = self.child.wait_with_output().await.map_err(run)?;
        match printed(WHAT, output) {
            Err(Error::Git { words, .. }) => Err(Error::Unsound(printable(words.as_bytes()))),
            printed => printed.map(drop),
        }
    }
}
