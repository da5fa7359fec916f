//! How long a writable disk takes to be made, and how much of the host it takes.

use std::fs::OpenOptions;
use std::os::unix::fs::MetadataExt;
use std::time::Instant;

use anyhow::Result;

use super::figure::Figure;
use super::home::ms;

const RUNS: usize = 20;

pub(super) fn measure() -> Result<Vec<Figure>> {
    let eight = one("disk.create_8g_ms", 8 << 30)?;
    Ok(vec![eight, one("disk.create_64g_ms", 64 << 30)?])
}

fn one(name: &'static str, size: u64) -> Result<Figure> {
    let dir = tempfile::tempdir()?;
    let mut took = Vec::new();
    let mut used = 0;
    for run in 0..RUNS {
        let path = dir.path().join(run.to_string());
        let since = Instant::now();
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)?;
        banger_ext4::blank_disk(&file, size, [7; 16], "bench")?;
        took.push(ms(since.elapsed()));
        used = used.max(file.metadata()?.blocks() * 512);
    }
    let mib = used as f64 / f64::from(1 << 20);
    Ok(Figure::of(name, &took).phase("host space, MiB", mib))
}
