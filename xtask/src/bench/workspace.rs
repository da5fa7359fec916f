//! Placing a repository in a guest, beside what git needs to clone it on the host.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use banger_api::WorkspaceReport;

use super::figure::{Figure, median_of};
use super::home::{Home, Under, text};

const RUNS: usize = 5;
const FILES: usize = 10_000;
const BYTES: usize = 500_000_000;
const CHANGED: usize = 10;

/// The fake guest takes it on this host's disk, through a socket as a VMM's.
pub(super) fn measure() -> Result<Vec<Figure>> {
    in_guest(Under::Fake, RUNS)
}

/// A real guest takes it through vsock on its own disk.
pub(super) fn measure_firecracker() -> Result<Vec<Figure>> {
    in_guest(Under::Firecracker, 3)
}

fn in_guest(under: Under, runs: usize) -> Result<Vec<Figure>> {
    let home = Home::with_image()?.with_kernel(under)?;
    let dir = tempfile::Builder::new().prefix("bw-").tempdir_in("/var/tmp")?;
    let source = dir.path().join("source");
    generate(&source)?;
    let (mut cloned, mut placed, mut again) = (Vec::new(), Vec::new(), Vec::new());
    let mut changed = 0;
    for run in 0..runs {
        changed = change(&source, run)?;
        let clone = dir.path().join("clone");
        cloned.push(clone_and_copy(&source, &clone)?);
        std::fs::remove_dir_all(&clone)?;
        rustix::fs::sync();
        // A VM of its own for each: nothing of the last is there.
        home.create(under, "1G", &[])?;
        let prepare = [
            "vm",
            "workspace",
            "prepare",
            "vm",
            text(&source)?,
            "--depth",
            "1",
            "--json",
        ];
        let (took, _) = home.time(&prepare)?;
        placed.push(took.as_secs_f64());
        change(&source, run + runs)?;
        let (took, output) = home.time(&prepare)?;
        let report: WorkspaceReport = serde_json::from_slice(&output.stdout)?;
        ensure!(report.sent_files == CHANGED as u64, "{report:?}");
        again.push((took.as_secs_f64(), report.sent_bytes as f64));
        home.banger(&["vm", "delete", "-f", "vm"])?;
        rustix::fs::sync();
    }
    let ratios: Vec<f64> = placed.iter().zip(&cloned).map(|(ours, git)| ours / git).collect();
    let bytes: Vec<f64> = again.iter().map(|(_, bytes)| *bytes).collect();
    Ok(vec![
        Figure::of("workspace.prepare_vs_clone_ratio", &ratios)
            .under(under.name())
            .phase("prepare, s", median_of(placed))
            .phase("git clone and cp, s", median_of(cloned)),
        Figure::of("workspace.again_bytes", &bytes)
            .under(under.name())
            .phase("bytes of the ten files", changed as f64)
            .phase("again, s", median_of(again.into_iter().map(|(took, _)| took))),
    ])
}

/// 10,000 files of text in 500 directories, 500 MB, in one pack as after a clone.
fn generate(source: &Path) -> Result<()> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for number in 0..FILES {
        let path = source.join(name(number));
        std::fs::create_dir_all(path.parent().context("a directory")?)?;
        // Half of them small, the others up to twice the mean.
        let len = match number % 2 {
            0 => 2_000,
            _ => (BYTES / FILES * 2 - 2_000) / 2 + random() as usize % (BYTES / FILES * 2 - 2_000),
        };
        let mut content = String::with_capacity(len + 80);
        while content.len() < len {
            // Writing to a string does not fail.
            let _ = writeln!(
                content,
                "    let value_{:x} = call({}, 0x{:x});",
                random() % 4096,
                random() % 100,
                random()
            );
        }
        std::fs::write(path, &content[..len])?;
    }
    git(source, &["init", "-q", "-b", "main"])?;
    git(source, &["add", "."])?;
    git(source, &["commit", "-q", "-m", "all"])?;
    git(source, &["repack", "-adq", "--window=0"])?;
    git(source, &["update-index", "-q", "--refresh"])
}

fn name(number: usize) -> String {
    format!("src/module-{}/file-{number}.rs", number % 500)
}

/// Changes ten files, and gives how many bytes they have together.
fn change(source: &Path, round: usize) -> Result<u64> {
    let mut bytes = 0;
    for number in (0..CHANGED).map(|number| number * 2 + 100) {
        let path = source.join(name(number));
        let mut content = std::fs::read(&path)?;
        content.extend(format!("// {round}\n").bytes());
        bytes += content.len() as u64;
        std::fs::write(path, content)?;
    }
    Ok(bytes)
}

/// `git clone --depth 1` and `cp` of the changed files, in seconds.
fn clone_and_copy(source: &Path, clone: &Path) -> Result<f64> {
    rustix::fs::sync();
    let since = Instant::now();
    let url = format!("file://{}", text(source)?);
    let parent = source.parent().context("a directory")?;
    git(parent, &["clone", "-q", "--depth", "1", &url, text(clone)?])?;
    for number in (0..CHANGED).map(|number| number * 2 + 100) {
        let copied = Command::new("cp")
            .arg("-p")
            .arg(source.join(name(number)))
            .arg(clone.join(name(number)))
            .status()?;
        ensure!(copied.success(), "cp failed");
    }
    Ok(since.elapsed().as_secs_f64())
}

pub(super) fn git(dir: &Path, args: &[&str]) -> Result<()> {
    let output = Command::new("git")
        .args(["-c", "user.name=bench", "-c", "user.email=bench@localhost"])
        .args(args)
        .current_dir(dir)
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "git {args:?}: {said}");
    Ok(())
}
