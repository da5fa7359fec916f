//! Changes that go as they happen.

use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use banger_e2e::{Backend, HUNG, Home, Image};
use rustix::process::{Pid, Signal, kill_process};

use super::{compare, sh};

/// Longer than any change takes to go.
const PATIENCE: Duration = Duration::from_secs(90);

/// `vm sync --watch` that goes on.
pub(super) struct Watching {
    pub(super) child: Child,
    lines: Receiver<io::Result<String>>,
    pushed: usize,
}

impl Watching {
    pub(super) fn start(home: &Home, tree: &Path) -> Result<Self> {
        let what = format!("{}:app", tree.display());
        let mut child = home
            .command(["vm", "sync", "vm", &what, "--watch", "--delete", "--json"])
            .stdout(Stdio::piped())
            .spawn()?;
        let output = BufReader::new(child.stdout.take().context("its output")?).lines();
        let (read, lines) = mpsc::channel();
        // It ends with the program, or when nobody listens any more.
        std::thread::spawn(move || {
            for line in output {
                if read.send(line).is_err() {
                    return;
                }
            }
        });
        let mut watching = Self {
            child,
            lines,
            pushed: 0,
        };
        watching.until(|event| event["event"] == "watching")?;
        Ok(watching)
    }

    pub(super) fn until(&mut self, is: impl Fn(&serde_json::Value) -> bool) -> Result<()> {
        loop {
            let line = match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => line?,
                Err(RecvTimeoutError::Disconnected) => bail!("vm sync ended: {}", self.last_words()),
                Err(RecvTimeoutError::Timeout) => bail!("`banger vm sync --watch` {HUNG}"),
            };
            let event: serde_json::Value = serde_json::from_str(&line)?;
            self.pushed += usize::from(event["event"] == "push");
            if is(&event) {
                return Ok(());
            }
        }
    }

    /// Fails unless it ends by itself, with this exit code.
    pub(super) fn ended(&mut self, code: i32) -> Result<()> {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => drop(line?),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => bail!("`banger vm sync --watch` {HUNG}"),
            }
        }
        let ended = self.child.wait()?.code();
        ensure!(
            ended == Some(code),
            "it ended by {ended:?}: {}",
            self.last_words()
        );
        Ok(())
    }

    /// What it said before it ended.
    fn last_words(&mut self) -> String {
        let mut words = String::new();
        if let Some(stderr) = &mut self.child.stderr {
            let _ = stderr.read_to_string(&mut words);
        }
        words
    }

    /// Waits until a file that is made now has been sent with all that came with it.
    pub(super) fn settled(&mut self, tree: &Path, name: &str) -> Result<()> {
        std::fs::write(tree.join(name), "")?;
        self.until(|event| event["event"] == "push" && event["path"] == name)?;
        self.until(|event| event["event"] == "done")
    }

    pub(super) fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.child.id())?).context("a process id")?;
        Ok(kill_process(pid, signal)?)
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(super) fn hundreds_of_changes(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "vm", &[])?;
    let dir = tempfile::tempdir()?;
    let tree = dir.path();
    std::fs::write(tree.join("first"), "1")?;
    let mut watching = Watching::start(&home, tree)?;
    for round in 0..5 {
        for number in 0..60 {
            let at = tree.join(format!("d{}/e{}", number % 7, number % 3));
            std::fs::create_dir_all(&at)?;
            std::fs::write(at.join(format!("f{number}")), format!("{round} {number}"))?;
        }
        // Directories and files that move, in the tree and out of it.
        std::fs::rename(tree.join("d0"), tree.join(format!("moved{round}")))?;
        std::fs::write(tree.join(format!("moved{round}/e0/after")), "the move")?;
        std::fs::rename(tree.join("d1/e1"), dir.path().join("d2/inner"))
            .or_else(|_| std::fs::remove_dir_all(tree.join("d1")))?;
        std::fs::remove_dir_all(tree.join("d3"))?;
        std::fs::rename(tree.join("d4/e1/f4"), tree.join("d4/renamed"))?;
        std::fs::write(tree.join("large"), vec![round; 2 << 20])?;
        // As editors save: a new file in the place of the old one.
        std::fs::write(tree.join("first~"), round.to_string())?;
        std::fs::rename(tree.join("first~"), tree.join("first"))?;
    }
    std::fs::remove_dir_all(tree.join("moved0"))?;
    std::fs::write(tree.join("moved0"), "a file now")?;
    watching.settled(tree, "settled")?;
    compare(&home, tree)?;
    // A change of what is ignored takes effect at once.
    std::fs::write(tree.join(".gitignore"), "*.o\n")?;
    std::fs::write(tree.join("x.o"), "")?;
    watching.settled(tree, "settled again")?;
    let seen = home
        .banger(["vm", "exec", "vm", "-w", "/root/app", "--", "ls"])?
        .ok()?
        .text();
    ensure!(!seen.contains("x.o") && seen.contains("settled again"), "{seen}");
    // It ends with the tree, and says so by an interrupt's code when interrupted.
    watching.signal(Signal::INT)?;
    watching.ended(130)?;
    home.end()
}

pub(super) fn hard_links(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "vm", &[])?;
    let dir = tempfile::tempdir()?;
    let tree = &dir.path().join("tree");
    std::fs::create_dir_all(tree.join("d"))?;
    std::fs::write(tree.join("before"), "one")?;
    std::fs::hard_link(tree.join("before"), tree.join("d/before"))?;
    std::fs::write(tree.join("a"), "one")?;
    std::fs::write(tree.join(".gitignore"), "ignored\n")?;
    // And names that no directory has which is watched: outside of the tree, and where nothing goes.
    std::fs::create_dir(tree.join("ignored.d"))?;
    std::fs::write(tree.join(".gitignore"), "ignored\nignored.d\n")?;
    std::fs::write(tree.join("apart"), "one")?;
    let (outside, unwatched) = (dir.path().join("outside"), tree.join("ignored.d/apart"));
    std::fs::hard_link(tree.join("apart"), &outside)?;
    std::fs::hard_link(tree.join("before"), &unwatched)?;
    let mut watching = Watching::start(&home, tree)?;
    // A name that is new, one in another directory, one that was there before, and one that does not go.
    std::fs::hard_link(tree.join("a"), tree.join("hard"))?;
    std::fs::hard_link(tree.join("a"), tree.join("d/hard"))?;
    std::fs::hard_link(tree.join("a"), tree.join("ignored"))?;
    watching.settled(tree, "linked")?;
    let append = |path: &str, text: &str| {
        let file = std::fs::OpenOptions::new().append(true).open(tree.join(path));
        file.and_then(|mut file| io::Write::write_all(&mut file, text.as_bytes()))
    };
    append("hard", " two")?;
    append("d/before", " two")?;
    watching.settled(tree, "appended")?;
    ensure!(
        sh(&home, "app", "cat a d/hard before")? == "one twoone twoone two",
        "another name is old"
    );
    append("../outside", " two")?;
    watching.settled(tree, "through a name outside")?;
    append("ignored.d/apart", " three")?;
    watching.settled(tree, "through a name where nothing is watched")?;
    ensure!(
        sh(&home, "app", "cat apart before d/before")? == "one twoone two threeone two three",
        "a name is old"
    );
    append("ignored", " three")?;
    std::fs::remove_file(tree.join("hard"))?;
    watching.settled(tree, "through one that stays here")?;
    ensure!(
        sh(&home, "app", "cat a d/hard; ls")?.starts_with("one two threeone two three"),
        "another name is old"
    );
    ensure!(
        !sh(&home, "app", "ls")?.contains("hard"),
        "the removed name is still there"
    );
    watching.signal(Signal::INT)?;
    watching.ended(130)?;
    home.end()
}

pub(super) fn lost_changes(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "vm", &[])?;
    let dir = tempfile::tempdir()?;
    let tree = dir.path().join("tree");
    std::fs::create_dir(&tree)?;
    let mut watching = Watching::start(&home, &tree)?;
    // While it sleeps, more happens than the kernel's queue holds.
    let most: usize = std::fs::read_to_string("/proc/sys/fs/inotify/max_queued_events")?
        .trim()
        .parse()?;
    watching.signal(Signal::STOP)?;
    for number in 0..most / 2 + 100 {
        std::fs::write(tree.join(format!("f{number}")), "")?;
    }
    std::fs::create_dir(tree.join("late"))?;
    std::fs::write(tree.join("late/file"), "unheard of")?;
    watching.signal(Signal::CONT)?;
    watching.until(|event| event["event"] == "push" && event["path"] == "late/file")?;
    watching.until(|event| event["event"] == "done")?;
    compare(&home, &tree)?;
    // And the directory that was made meanwhile is watched.
    std::fs::write(tree.join("late/file"), "heard of")?;
    watching.settled(&tree, "settled")?;
    compare(&home, &tree)?;
    std::fs::remove_dir_all(&tree)?;
    watching.ended(1)?;
    home.end()
}

/// A tree that goes away while the kernel loses that, too, is not taken for an empty one.
pub(super) fn a_lost_end(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "vm", &[])?;
    let dir = tempfile::tempdir()?;
    let tree = dir.path().join("tree");
    std::fs::create_dir(&tree)?;
    for file in ["a", "b"] {
        std::fs::write(tree.join(file), "dear")?;
    }
    let mut watching = Watching::start(&home, &tree)?;
    let most = std::fs::read_to_string("/proc/sys/fs/inotify/max_queued_events")?;
    let most: u32 = most.trim().parse()?;
    watching.signal(Signal::STOP)?;
    for number in 0..=most {
        // The kernel joins two in a row that are the same.
        let file = tree.join(if number % 2 == 0 { "a" } else { "b" });
        std::fs::set_permissions(file, PermissionsExt::from_mode(0o600 + (number & 0o77)))?;
    }
    std::fs::rename(&tree, dir.path().join("elsewhere"))?;
    watching.signal(Signal::CONT)?;
    watching.ended(1)?;
    let left = sh(&home, "app", "cat a b")?;
    ensure!(left == "deardear", "{left}");
    home.end()
}

/// One kind of change at a time, each of which is seen alone.
pub(super) fn deletions_and_renames(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "vm", &[])?;
    let dir = tempfile::tempdir()?;
    let tree = dir.path().join("tree");
    std::fs::create_dir_all(tree.join("a/b"))?;
    for file in ["a/b/deep", "a/one", "a/two", "gone"] {
        std::fs::write(tree.join(file), file)?;
    }
    let mut watching = Watching::start(&home, &tree)?;
    let mut after = |what: &str, change: &dyn Fn() -> std::io::Result<()>| -> Result<()> {
        change()?;
        watching.until(|event| event["event"] == "done")?;
        compare(&home, &tree).context(what.to_owned())
    };
    after("a file goes", &|| std::fs::remove_file(tree.join("gone")))?;
    after("a file gets a new name", &|| {
        std::fs::rename(tree.join("a/one"), tree.join("a/1"))
    })?;
    after("one takes another's place", &|| {
        std::fs::rename(tree.join("a/1"), tree.join("a/two"))
    })?;
    after("a directory gets a new name", &|| {
        std::fs::rename(tree.join("a"), tree.join("c"))
    })?;
    after("what is in it changes", &|| {
        std::fs::write(tree.join("c/b/deep"), "by its new name")
    })?;
    after("it leaves the tree", &|| {
        std::fs::rename(tree.join("c/b"), dir.path().join("b"))
    })?;
    // Out there, nobody listens.
    std::fs::write(dir.path().join("b/deep"), "not here")?;
    after("it comes back by another name", &|| {
        std::fs::rename(dir.path().join("b"), tree.join("d"))
    })?;
    after("and changes there", &|| {
        std::fs::write(tree.join("d/deep"), "here")
    })?;
    after("a tree goes", &|| std::fs::remove_dir_all(tree.join("c")))?;
    drop(watching);
    home.end()
}

pub(super) fn a_thousand_changes(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "vm", &[])?;
    let dir = tempfile::tempdir()?;
    let tree = dir.path();
    for number in 0..10 {
        std::fs::create_dir(tree.join(format!("d{number}")))?;
    }
    let mut watching = Watching::start(&home, tree)?;
    let file = |number: usize| tree.join(format!("d{}/f{number}", number % 10));
    for number in 0..1000 {
        std::fs::write(file(number), number.to_string())?;
    }
    watching.settled(tree, "made")?;
    compare(&home, tree)?;
    // All of them at once again: some are written, some go, some get another name.
    for number in 0..1000 {
        match number % 4 {
            0 => std::fs::remove_file(file(number))?,
            1 => std::fs::rename(file(number), file(number).with_extension("moved"))?,
            _ => std::fs::write(file(number), "again")?,
        }
    }
    watching.settled(tree, "changed")?;
    compare(&home, tree)?;
    drop(watching);
    home.end()
}
