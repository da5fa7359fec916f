//! A directory of a guest that is kept like one of the host.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, ensure};
use banger_e2e::{Backend, Home, Image};
use rustix::process::{Pid, Signal, kill_process};

use crate::{Story, everywhere, on_the_host};

pub(crate) const STORIES: &[Story] = &[
    everywhere("a_pass_sends_what_differs", a_pass),
    everywhere("hundreds_of_changes_arrive_as_they_happen", hundreds_of_changes),
    on_the_host("changes_that_the_kernel_lost_are_found_by_a_pass", lost_changes),
];

fn sync(home: &Home, tree: &Path, more: &[&str]) -> Result<Vec<serde_json::Value>> {
    let what = format!("{}:app", tree.display());
    let args = [&["vm", "sync", "vm", &what, "--json"], more].concat();
    let said = home.banger(args)?.ok()?.text();
    said.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

/// The paths of the events of a kind.
fn paths<'a>(events: &'a [serde_json::Value], kind: &str) -> Vec<&'a str> {
    let of = events.iter().filter(|event| event["event"] == kind);
    let mut paths: Vec<_> = of.filter_map(|event| event["path"].as_str()).collect();
    paths.sort_unstable();
    paths
}

/// What a tree is, apart from times of directories and what git owns.
fn described(dir: &Path) -> Result<BTreeMap<String, String>> {
    let format = "%P\\t%y %m %l %T@ %s\\0";
    let found = Command::new("find")
        .args([
            ".",
            "-mindepth",
            "1",
            "-name",
            ".git",
            "-prune",
            "-o",
            "-printf",
            format,
        ])
        .current_dir(dir)
        .output()?;
    ensure!(
        found.status.success(),
        "{}",
        String::from_utf8_lossy(&found.stderr)
    );
    let mut all = BTreeMap::new();
    for line in found
        .stdout
        .split(|&byte| byte == 0)
        .filter(|line| !line.is_empty())
    {
        let line = line.escape_ascii().to_string();
        let (path, rest) = line.split_once("\\t").context("a path")?;
        let mut rest: Vec<_> = rest.split(' ').map(str::to_owned).collect();
        if rest[0] == "d" {
            rest.truncate(2);
        } else if rest[0] == "l" {
            rest.remove(3);
        }
        all.insert(path.to_owned(), rest.join(" "));
    }
    Ok(all)
}

/// Fails if the guest's directory is not like the tree.
fn compare(home: &Home, tree: &Path) -> Result<()> {
    let back = tempfile::tempdir()?;
    let to = back.path().join("app");
    home.banger([
        "vm".as_ref(),
        "cp".as_ref(),
        "-q".as_ref(),
        "vm:app".as_ref(),
        to.as_os_str(),
    ])?
    .ok()?;
    let (here, there) = (described(tree)?, described(&to)?);
    let differing = here
        .iter()
        .filter(|(path, what)| there.get(*path) != Some(what))
        .take(5);
    let differing: Vec<_> = differing
        .map(|(path, what)| format!("{path}: {what}, in the guest {:?}", there.get(path)))
        .collect();
    ensure!(differing.is_empty(), "{differing:#?}");
    let more: Vec<_> = there
        .keys()
        .filter(|path| !here.contains_key(*path))
        .take(5)
        .collect();
    ensure!(more.is_empty(), "there are more: {more:?}");
    let differs = Command::new("diff")
        .args(["-r", "--no-dereference", "-x", ".git"])
        .arg(tree)
        .arg(&to)
        .output()?;
    ensure!(
        differs.stdout.is_empty(),
        "{}",
        String::from_utf8_lossy(&differs.stdout)
    );
    Ok(())
}

fn a_pass(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "vm", &[])?;
    let dir = tempfile::tempdir()?;
    let tree = dir.path();
    let write = |name: &str, text: &str| std::fs::write(tree.join(name), text);
    Command::new("git").arg("init").arg("-q").arg(tree).status()?;
    std::fs::create_dir_all(tree.join("src/deep"))?;
    std::fs::create_dir(tree.join("target"))?;
    write(".gitignore", "target/\n*.log\n")?;
    write(".bangerignore", "private\n")?;
    write("src/deep/a", "a")?;
    write("src/b", "b")?;
    write("target/large", "no")?;
    write("x.log", "no")?;
    write("private", "no")?;
    symlink("src/b", tree.join("link"))?;
    std::fs::write(tree.join(std::ffi::OsStr::from_bytes(b"odd \xff\n")), "odd")?;
    let events = sync(&home, tree, &[])?;
    ensure!(paths(&events, "push").len() == 8, "{events:?}");
    ensure!(
        sync(&home, tree, &["--delete"])?.is_empty(),
        "the second pass sent something"
    );
    // One is edited, one has its mode changed, a directory becomes a file, a file a directory, a link leads elsewhere.
    write("src/b", "B")?;
    std::fs::set_permissions(tree.join("src/deep/a"), PermissionsExt::from_mode(0o700))?;
    let events = sync(&home, tree, &[])?;
    ensure!(paths(&events, "push") == ["src/b", "src/deep/a"], "{events:?}");
    std::fs::remove_dir_all(tree.join("src/deep"))?;
    write("src/deep", "a file now")?;
    std::fs::remove_file(tree.join("src/b"))?;
    std::fs::create_dir(tree.join("src/b"))?;
    std::fs::remove_file(tree.join("link"))?;
    symlink("elsewhere", tree.join("link"))?;
    // What is only in the guest goes with --delete alone, and never what is ignored here.
    home.banger([
        "vm",
        "exec",
        "vm",
        "-w",
        "/root/app",
        "--",
        "sh",
        "-c",
        "mkdir -p target/made old/x.log; echo 1 > old/gone; echo 2 > more",
    ])?
    .ok()?;
    let events = sync(&home, tree, &[])?;
    ensure!(
        paths(&events, "push") == ["link", "src/b", "src/deep"],
        "{events:?}"
    );
    let events = sync(&home, tree, &["--delete"])?;
    ensure!(paths(&events, "remove") == ["more", "old/gone"], "{events:?}");
    let left = home
        .banger([
            "vm",
            "exec",
            "vm",
            "-w",
            "/root/app",
            "--",
            "ls",
            "old",
            "target",
            "src",
        ])?
        .ok()?
        .text();
    ensure!(left.contains("x.log") && left.contains("made"), "{left}");
    home.banger(["vm", "sync", "vm", "/etc/hostname:x"])?
        .failed()?
        .saying("is no directory")?;
    home.end()
}

/// `vm sync --watch` that goes on.
struct Watching {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
    pushed: usize,
}

impl Watching {
    fn start(home: &Home, tree: &Path) -> Result<Self> {
        let what = format!("{}:app", tree.display());
        let mut child = home
            .command(["vm", "sync", "vm", &what, "--watch", "--delete", "--json"])
            .stdout(Stdio::piped())
            .spawn()?;
        let lines = BufReader::new(child.stdout.take().context("its output")?).lines();
        let mut watching = Self {
            child,
            lines,
            pushed: 0,
        };
        watching.until(|event| event["event"] == "watching")?;
        Ok(watching)
    }

    fn until(&mut self, is: impl Fn(&serde_json::Value) -> bool) -> Result<()> {
        loop {
            let line = self.lines.next().context("vm sync ended")??;
            let event: serde_json::Value = serde_json::from_str(&line)?;
            self.pushed += usize::from(event["event"] == "push");
            if is(&event) {
                return Ok(());
            }
        }
    }

    /// Waits until a file that is made now has been sent with all that came with it.
    fn settled(&mut self, tree: &Path, name: &str) -> Result<()> {
        std::fs::write(tree.join(name), "")?;
        self.until(|event| event["event"] == "push" && event["path"] == name)?;
        self.until(|event| event["event"] == "done")
    }

    fn signal(&self, signal: Signal) -> Result<()> {
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

fn hundreds_of_changes(backend: Backend) -> Result<()> {
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
    ensure!(watching.child.wait()?.code() == Some(130), "how it ended");
    home.end()
}

fn lost_changes(backend: Backend) -> Result<()> {
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
    ensure!(watching.child.wait()?.code() == Some(1), "how it ended");
    home.end()
}
