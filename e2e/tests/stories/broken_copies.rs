//! Copies that are broken off, by whoever copies, by the daemon's end, and by a refusal.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use banger_e2e::{Backend, Home, Image};

use crate::copying::{place, sh, tar_of_f};
use crate::{Scenario, everywhere, on_the_host};

pub(crate) const SCENARIOS: &[Scenario] = &[
    everywhere(
        "what_is_killed_in_the_middle_leaves_no_half_file",
        killed_in_the_middle,
    ),
    everywhere(
        "a_copy_outlives_the_daemon_or_leaves_no_half_file",
        the_daemon_is_killed,
    ),
    on_the_host("a_refusal_is_told_in_the_guests_words", a_refusal),
];

/// A file of 8 MiB that goes into the place of a small one, from an archive of which half has been sent.
struct HalfSent {
    cp: Child,
    stdin: ChildStdin,
    half: Vec<u8>,
    rest: Vec<u8>,
}

impl HalfSent {
    fn of(home: &Home) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        std::fs::write(dir.path().join("f"), vec![1; 8 << 20])?;
        let mut half = tar_of_f(dir.path())?;
        let rest = half.split_off(4 << 20);
        sh(home, "vm", "mkdir -p t/d; echo whole > t/d/f")?;
        let mut cp = home
            .command(["vm", "cp", "-q", "-", "vm:t/d"])
            .stdin(Stdio::piped())
            .spawn()?;
        let mut stdin = cp.stdin.take().context("its input")?;
        stdin.write_all(&half)?;
        Ok(Self {
            cp,
            stdin,
            half,
            rest,
        })
    }
}

fn killed_in_the_middle(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "vm", &[])?;
    let dir = tempfile::tempdir()?;
    // Nothing more comes, and no end.
    let HalfSent {
        mut cp,
        stdin: _open,
        half,
        ..
    } = HalfSent::of(&home)?;
    cp.kill()?;
    cp.wait()?;
    ensure!(
        sh(&home, "vm", "cat t/d/f; ls -A t/d")?.trim() == "whole\nf",
        "half a file"
    );
    // Cut short is not whole.
    home.banger_with(["vm", "cp", "-", "vm:t/d"], half)?
        .failed()?
        .saying("truncated")?;
    ensure!(
        sh(&home, "vm", "cat t/d/f; ls -A t/d")?.trim() == "whole\nf",
        "half a file"
    );
    // Out of the guest, killed while it comes.
    let mib = if backend == Backend::Tcg { 64 } else { 256 };
    let make = format!("dd if=/dev/zero of=t/large bs=1M count={mib} 2>/dev/null");
    sh(&home, "vm", &make)?;
    let out = dir.path().join("out");
    std::fs::create_dir(&out)?;
    let args = ["vm", "cp", "vm:t/large"].map(OsStr::new);
    let args = args.into_iter().chain([place(&out)]);
    let mut cp = home.command(args.clone()).spawn()?;
    let since = Instant::now();
    while received(&cp, &out) < 8 << 20 {
        ensure!(since.elapsed() < Duration::from_secs(60), "nothing comes");
        ensure!(cp.try_wait()?.is_none(), "it was done before it could be killed");
        std::thread::sleep(Duration::from_millis(1));
    }
    cp.kill()?;
    ensure!(!cp.wait()?.success(), "it was done before it could be killed");
    let left: Vec<_> = std::fs::read_dir(&out)?.collect::<Result<_, _>>()?;
    ensure!(left.is_empty(), "{left:?} was left");
    home.banger(args)?.ok()?;
    ensure!(
        std::fs::metadata(out.join("large"))?.len() == mib << 20,
        "its size"
    );
    home.end()
}

/// How much a program has written to files below `out` that it has open, with or without a name.
fn received(program: &Child, out: &Path) -> u64 {
    let open = std::fs::read_dir(format!("/proc/{}/fd", program.id()));
    let files = open.into_iter().flatten().flatten().map(|entry| entry.path());
    let ours = files.filter(|fd| std::fs::read_link(fd).is_ok_and(|file| file.starts_with(out)));
    // What it leads to, name or not.
    let written = ours.filter_map(|fd| std::fs::metadata(fd).ok().filter(|file| file.is_file()));
    written.map(|file| file.blocks() * 512).max().unwrap_or_default()
}

/// A copy that has begun has a connection of its own; one that breaks off anyway leaves what was there.
fn the_daemon_is_killed(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "vm", &[])?;
    let HalfSent {
        mut cp,
        mut stdin,
        rest,
        ..
    } = HalfSent::of(&home)?;
    home.kill_daemon()?;
    // Debian's kernel has no files without a name in an overlay: there, one in the making is hidden.
    let seen = sh(&home, "vm", "cat t/d/f; ls t/d")?;
    ensure!(seen.trim() == "whole\nf", "{seen}");
    stdin.write_all(&rest)?;
    drop(stdin);
    ensure!(cp.wait()?.success(), "the copy did not outlive the daemon");
    let seen = sh(&home, "vm", "wc -c < t/d/f; ls -A t/d")?;
    ensure!(seen.trim() == format!("{}\nf", 8 << 20), "{seen}");
    home.end()
}

fn a_refusal(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "vm", &[])?;
    let dir = tempfile::tempdir()?;
    let file = File::create(dir.path().join("f"))?;
    file.set_len(64 << 20)?;
    file.write_all_at(&vec![1; 64 << 20], 0)?;
    // The directory is a file: the guest says so at once, while more is being sent.
    sh(&home, "vm", "mkdir -p t/d/f/x")?;
    let args = [
        OsStr::new("vm"),
        OsStr::new("cp"),
        place(&dir.path().join("f")),
        OsStr::new("vm:t/d"),
    ]
    .map(OsStr::to_owned);
    home.banger(args)?.failed()?.saying("write `f`")?;
    home.end()
}
