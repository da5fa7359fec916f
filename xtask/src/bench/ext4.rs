//! Our ext4 writer alone, beside the crate `mkext4`: both write the same tree from memory to a file, without fsync.
//!
//! `mkext4` must know every entry and its size before it writes the first byte, and takes names as `&str`, so that a
//! name that is not UTF-8 cannot even be asked for. Neither is so of ours.

use std::fs::OpenOptions;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use banger_ext4::{ImageWriter, Meta, Options, Timestamp};

use super::figure::{Figure, median_of};
use super::generated::{Entry, Generated, What};
use super::home::ms;
use crate::repository;

const RUNS: usize = 9;

const TIME: i64 = 1_700_000_000;

pub(super) fn measure_tree() -> Result<Vec<Figure>> {
    let beside = Beside::measure(&Generated::system())?;
    let ratios: Vec<f64> = beside
        .ours
        .iter()
        .zip(&beside.theirs)
        .map(|(ours, theirs)| ours / theirs)
        .collect();
    let figure = Figure::of("ext4.tree_790mb_vs_mkext4_ratio", &ratios);
    Ok(vec![beside.phases(figure)])
}

pub(super) fn measure_flat() -> Result<Vec<Figure>> {
    let beside = Beside::measure(&Generated::flat())?;
    let seconds: Vec<f64> = beside.ours.iter().map(|ours| ours / 1e3).collect();
    let figure = Figure::of("ext4.flat_60k_s", &seconds);
    Ok(vec![beside.phases(figure)])
}

/// Milliseconds of both, run for run.
struct Beside {
    ours: Vec<f64>,
    theirs: Vec<f64>,
    /// What `e2fsck -fn` ends with on the peer's image; it is 0 on ours.
    their_check: i32,
}

impl Beside {
    fn measure(tree: &Generated) -> Result<Self> {
        let dir = tempfile::tempdir_in(repository::root().join("target/bench"))?;
        let path = dir.path().join("image");
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        let mut their_check = 0;
        for run in 0..=RUNS {
            let our = write_ours(tree, &path)?;
            if run == 0 {
                ensure!(check(&path)? == 0, "e2fsck is not content with our image");
            }
            std::fs::remove_file(&path)?;
            let their = write_theirs(tree, &path).context("failed to write with mkext4")?;
            if run == 0 {
                their_check = check(&path)?;
            } else {
                ours.push(ms(our));
                theirs.push(ms(their));
            }
            std::fs::remove_file(&path)?;
        }
        Ok(Self {
            ours,
            theirs,
            their_check,
        })
    }

    fn phases(self, figure: Figure) -> Figure {
        figure
            .phase("ours, ms", median_of(self.ours))
            .phase("mkext4, ms", median_of(self.theirs))
            .phase("e2fsck of mkext4's", self.their_check.into())
    }
}

/// What `e2fsck -fn` ends with.
fn check(image: &Path) -> Result<i32> {
    let status = Command::new("e2fsck")
        .arg("-fn")
        .arg(image)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .context("failed to run e2fsck")?;
    status.code().context("e2fsck was killed")
}

fn write_ours(tree: &Generated, path: &Path) -> Result<Duration> {
    let since = Instant::now();
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .open(path)?;
    let mut writer = ImageWriter::create(file, Options::new("bench", [7; 16]))?;
    let meta = |mode| Meta::new(mode, Timestamp { secs: TIME, nanos: 5 });
    for Entry { path, what, .. } in &tree.entries {
        let path = path.as_bytes();
        match what {
            What::Directory => writer.directory(path, meta(0o755))?,
            What::Symlink(target) => writer.symlink(path, target.as_bytes(), meta(0o777))?,
            &What::File { from, len } => {
                let mut content = &tree.noise[from..from + len];
                writer.file(path, meta(0o644), len as u64, &mut content)?;
            }
        }
    }
    writer.finish()?;
    Ok(since.elapsed())
}

fn write_theirs(tree: &Generated, path: &Path) -> Result<Duration> {
    let since = Instant::now();
    let mut builder = mkext4::FsBuilder::new(their_options(tree))?;
    let meta = |mode| mkext4::Meta::new(mode, 0, 0, (TIME, 5));
    let mut handles: Vec<mkext4::InodeHandle> = Vec::with_capacity(tree.entries.len());
    for entry in &tree.entries {
        let parent = entry.parent.map_or(mkext4::ROOT, |parent| handles[parent]);
        handles.push(match &entry.what {
            What::Directory => builder.mkdir(parent, entry.name(), meta(0o755))?,
            What::Symlink(target) => builder.symlink(parent, entry.name(), target, meta(0o777))?,
            What::File { len, .. } => builder.file(parent, entry.name(), meta(0o644), *len as u64)?,
        });
    }
    let layout = builder.seal()?;
    let mut sink = mkext4::sink::FileSink::create(path, layout.image_len())?;
    let mut writer = layout.writer(&mut sink)?;
    for (entry, &handle) in tree.entries.iter().zip(&handles) {
        if let What::File { from, len } = entry.what {
            writer.fill(handle, &mut &tree.noise[from..from + len])?;
        }
    }
    writer.finish()?;
    Ok(since.elapsed())
}

/// As small as the tree allows: room for the last block of each file, a tenth more, the smallest journal.
fn their_options(tree: &Generated) -> mkext4::Options {
    let entries = tree.entries.len();
    let size = (tree.bytes() + entries * 4096) / 10 * 11;
    let size = (size as u64).next_multiple_of(128 << 20);
    let mut options = mkext4::Options::new(size, [7; 16], TIME);
    options.inodes = mkext4::InodeCount::Exact(entries as u32 + 64);
    options.journal_blocks = Some(1024);
    options
}
