//! Importing Debian's minbase, beside unpacking it and making a file system of that.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use super::figure::{Figure, median_of};
use super::home::{Home, ms, status_kib, text};
use crate::repository;

const RUNS: usize = 5;

pub(super) fn measure() -> Result<Vec<Figure>> {
    let tar = minbase()?;
    let home = Home::bare()?;
    home.banger(&["daemon", "start"])?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for run in 0..=RUNS {
        let since = Instant::now();
        unpack_and_make(&tar)?;
        let bare = ms(since.elapsed());
        let since = Instant::now();
        home.banger(&["image", "import", "--force", "--name", "minbase", text(&tar)?])?;
        // The first brings the tar into the page cache.
        if run > 0 {
            ours.push(ms(since.elapsed()));
            theirs.push(bare);
        }
    }
    let ratios: Vec<f64> = ours
        .iter()
        .zip(&theirs)
        .map(|(ours, theirs)| theirs / ours)
        .collect();
    let size = std::fs::metadata(&tar)?.len() as f64 / f64::from(1 << 20);
    let peak = status_kib(home.daemon()?, "VmHWM")? / 1024.0;
    Ok(vec![
        Figure::of("import.vs_tar_mke2fs_ratio", &ratios)
            .phase("import, ms", median_of(ours))
            .phase("tar and mke2fs, ms", median_of(theirs))
            .phase("tar, MiB", size),
        Figure::of("import.peak_mib", &[peak]),
    ])
}

/// The archive, made once.
fn minbase() -> Result<PathBuf> {
    bootstrap("minbase", &[])
}

/// A Debian with what makes an image of about 115 MB, packed.
pub(super) fn debian() -> Result<PathBuf> {
    bootstrap("debian", &["--include=git,perl,python3"])
}

fn bootstrap(name: &str, options: &[&str]) -> Result<PathBuf> {
    let path = repository::root().join(format!("target/bench/{name}.tar"));
    if !path.exists() {
        let making = path.with_extension("making.tar");
        let made = Command::new("mmdebstrap")
            .args(["--quiet", "--variant=minbase"])
            .args(options)
            .arg("bookworm")
            .arg(&making)
            .status()
            .context("failed to run mmdebstrap")?;
        ensure!(made.success(), "mmdebstrap failed");
        std::fs::rename(&making, &path)?;
    }
    Ok(path)
}

fn unpack_and_make(tar: &Path) -> Result<()> {
    let dir = tempfile::tempdir_in(repository::root().join("target/bench"))?;
    let (tree, image) = (dir.path().join("tree"), dir.path().join("image"));
    std::fs::create_dir(&tree)?;
    let unpacked = Command::new("tar")
        .arg("xf")
        .arg(tar)
        .arg("-C")
        .arg(&tree)
        .status()?;
    ensure!(unpacked.success(), "tar failed");
    let made = Command::new("mke2fs")
        .args(["-q", "-t", "ext4", "-d"])
        .arg(&tree)
        .arg(&image)
        .arg("1G")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .context("failed to run mke2fs")?;
    ensure!(made.success(), "mke2fs failed");
    Ok(())
}
