//! Pulling Debian from a registry on loopback, beside what the same bytes cost at least, and beside peers.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

use super::figure::{Figure, median_of};
use super::home::{Home, ms, status_kib, text};
use super::import::debian;
use super::registry::{Registry, layers, layout, run};
use crate::repository;

const RUNS: usize = 7;

/// How often peers are measured, which are slow.
const PEER_RUNS: usize = 5;

pub(super) fn measure() -> Result<Vec<Figure>> {
    let dir = repository::root().join("target/bench");
    let tar = debian()?;
    let registry = Registry::start()?;
    let mut figures = Vec::new();
    let mut peak = 0.0;
    for (name, count, cores) in [
        ("pull.one_layer_vs_decode_ratio", 1, 1),
        ("pull.five_layer_vs_decode_ratio", 5, cores()),
    ] {
        let layout = layout(&tar, count, &dir)?;
        let image = format!("debian-{count}");
        registry.push(&layout, &image)?;
        let home = Home::bare()?;
        home.banger(&["daemon", "start"])?;
        let (pulls, floors) = beside(&home, &registry.reference(&image), &layers(&layout)?, cores)?;
        let ratios: Vec<f64> = pulls
            .iter()
            .zip(&floors)
            .map(|(pull, floor)| pull / floor)
            .collect();
        figures.push(
            Figure::of(name, &ratios)
                .phase("pull, ms", median_of(pulls))
                .phase("decode and hash, ms", median_of(floors))
                .phase("cores", cores as f64),
        );
        peak = f64::max(peak, status_kib(home.daemon()?, "VmHWM")? / 1024.0);
    }
    figures.push(Figure::of("pull.peak_mib", &[peak]));
    Ok(figures)
}

pub(super) fn measure_unchanged() -> Result<Vec<Figure>> {
    let dir = repository::root().join("target/bench");
    let registry = Registry::start()?;
    registry.push(&layout(&debian()?, 1, &dir)?, "debian")?;
    let home = Home::bare()?;
    let pull = ["image", "pull", "--name", "debian", &registry.reference("debian")];
    home.banger(&pull)?;
    let again: Vec<f64> = (0..20)
        .map(|_| home.time(&pull).map(|(took, _)| ms(took)))
        .collect::<Result<_>>()?;
    Ok(vec![Figure::of("pull.unchanged_ms", &again)])
}

/// Pulls and floors in turn; the first of each fills the page cache.
fn beside(home: &Home, reference: &str, layers: &[PathBuf], cores: usize) -> Result<(Vec<f64>, Vec<f64>)> {
    let (mut pulls, mut floors) = (Vec::new(), Vec::new());
    for run in 0..=RUNS {
        let since = Instant::now();
        decode(layers, cores)?;
        let floor = ms(since.elapsed());
        let (pull, _) = home.time(&["image", "pull", "--force", "--name", "debian", reference])?;
        if run > 0 {
            pulls.push(ms(pull));
            floors.push(floor);
        }
    }
    Ok((pulls, floors))
}

/// What no pull can do without: every layer hashed, decompressed and hashed again, by the same libraries.
fn decode(layers: &[PathBuf], cores: usize) -> Result<()> {
    let queue = Mutex::new(layers.iter());
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores)
            .map(|_| {
                scope.spawn(|| {
                    let next = || queue.lock().ok()?.next();
                    while let Some(layer) = next() {
                        decode_one(layer)?;
                    }
                    Ok(())
                })
            })
            .collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().expect("a decoder does not panic"))
    })
}

fn decode_one(layer: &Path) -> Result<()> {
    struct Hashing<R>(R, Sha256);
    impl<R: std::io::Read> std::io::Read for Hashing<R> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let read = self.0.read(buffer)?;
            self.1.update(&buffer[..read]);
            Ok(read)
        }
    }
    let packed = Hashing(File::open(layer)?, Sha256::new());
    let packed = std::io::BufReader::with_capacity(1 << 20, packed);
    let mut plain = flate2::bufread::GzDecoder::new(packed);
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = std::io::Read::read(&mut plain, &mut buffer)?;
        if read == 0 {
            break;
        }
        hash.update(&buffer[..read]);
    }
    let digests = (plain.into_inner().into_inner().1.finalize(), hash.finalize());
    ensure!(digests.0 != digests.1);
    Ok(())
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Beside the usual chain of tools: copy, unpack, make a file system.
pub(super) fn measure_tools() -> Result<Vec<Figure>> {
    against("pull.vs_umoci_mke2fs_ratio", |reference, dir| {
        let layout = dir.join("layout");
        run(Command::new("skopeo")
            .args(["copy", "--quiet", "--src-tls-verify=false"])
            .args([
                format!("docker://{reference}"),
                format!("oci:{}:latest", layout.display()),
            ]))?;
        let (image, bundle) = (format!("{}:latest", layout.display()), dir.join("bundle"));
        run(Command::new("umoci")
            .args(["unpack", "--image", &image])
            .arg(&bundle))?;
        run(Command::new("mke2fs")
            .args(["-q", "-t", "ext4", "-d"])
            .arg(bundle.join("rootfs"))
            .arg(dir.join("image"))
            .arg("1G"))
    })
}

/// Beside microsandbox, which is found as `msb` on `PATH` or as `BANGER_MSB`.
pub(super) fn measure_microsandbox() -> Result<Vec<Figure>> {
    let program = std::env::var("BANGER_MSB").unwrap_or_else(|_| "msb".to_owned());
    let known = Command::new(&program)
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    known.context("microsandbox was not found: put `msb` on PATH, or set BANGER_MSB")?;
    // All it has is in `$HOME/.microsandbox`. That stays, as our daemon does: with `--force` it fetches the layer and
    // makes its image of it again, which its registry's log shows, and need not make its database again.
    let home = tempfile::tempdir_in(repository::root().join("target/bench"))?;
    against("pull.vs_microsandbox_ratio", |reference, _| {
        run(Command::new(&program)
            .args(["pull", "--quiet", "--insecure", "--force", reference])
            .env("HOME", home.path()))?;
        let layers = home.path().join(".microsandbox/cache/layers");
        let image = std::fs::read_dir(layers)?.filter_map(Result::ok);
        let size: u64 = image.filter_map(|file| Some(file.metadata().ok()?.len())).sum();
        ensure!(size > 200 << 20, "the image has only {size} bytes");
        Ok(())
    })
}

/// Our pull and another's, in turn.
fn against(name: &'static str, other: impl Fn(&str, &Path) -> Result<()>) -> Result<Vec<Figure>> {
    let bench = repository::root().join("target/bench");
    let registry = Registry::start()?;
    registry.push(&layout(&debian()?, 1, &bench)?, "debian")?;
    let reference = registry.reference("debian");
    let home = Home::bare()?;
    home.banger(&["daemon", "start"])?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..=PEER_RUNS {
        let dir = tempfile::tempdir_in(&bench)?;
        let since = Instant::now();
        other(&reference, dir.path())?;
        let their = ms(since.elapsed());
        // What they leave to be written is not for ours to wait for, and the other way round.
        drop(dir);
        run(&mut Command::new("sync"))?;
        let (our, _) = home.time(&[
            "image",
            "pull",
            "--force",
            "--name",
            "debian",
            text(Path::new(&reference))?,
        ])?;
        run(&mut Command::new("sync"))?;
        if round > 0 {
            ours.push(ms(our));
            theirs.push(their);
        }
    }
    let ratios: Vec<f64> = ours.iter().zip(&theirs).map(|(our, their)| their / our).collect();
    Ok(vec![
        Figure::of(name, &ratios)
            .phase("pull, ms", median_of(ours))
            .phase("theirs, ms", median_of(theirs)),
    ])
}
