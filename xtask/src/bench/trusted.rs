//! What it costs to run in a repository that has a configuration of its own, which the user trusts.

use std::path::Path;

use anyhow::Result;

use super::figure::{Figure, median_of};
use super::home::{Home, Under, ms, text};
use super::workspace::git;

const RUNS: usize = 25;

/// Without a kernel: what is more is the host's work alone.
pub(super) fn measure() -> Result<Vec<Figure>> {
    let home = Home::with_image()?.with_kernel(Under::Fake)?;
    let dir = tempfile::tempdir()?;
    let (plain, trusted) = (dir.path().join("plain"), dir.path().join("trusted"));
    repository(&plain, None)?;
    repository(&trusted, Some("memory = \"256M\"\n\n[env]\nA = \"1\"\n"))?;
    let run = |of: &Path, more: &[&str]| {
        let options = [
            "vm", "run", "--rm", "--image", "busybox", "--vmm", "fake", "--net", "off",
        ];
        let args = [&options[..], more, &[text(of)?, "--", "true"]].concat();
        home.time(&args).map(|(took, _)| ms(took))
    };
    run(&plain, &[])?;
    run(&trusted, &["--trust"])?;
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        without.push(run(&plain, &[])?);
        with.push(run(&trusted, &[])?);
    }
    let more: Vec<f64> = with
        .iter()
        .zip(&without)
        .map(|(with, without)| with - without)
        .collect();
    Ok(vec![
        Figure::of("run.trusted_over_ms", &more)
            .under(Under::Fake.name())
            .phase(
                "vm run in a repository without a configuration, ms",
                median_of(without),
            )
            .phase("vm run in a trusted repository, ms", median_of(with)),
    ])
}

/// A repository with one commit, and perhaps a configuration.
fn repository(dir: &Path, configuration: Option<&str>) -> Result<()> {
    std::fs::create_dir(dir)?;
    std::fs::write(dir.join("file"), "content\n")?;
    if let Some(configuration) = configuration {
        std::fs::write(dir.join("banger.toml"), configuration)?;
    }
    git(dir, &["init", "-q", "-b", "main"])?;
    git(dir, &["add", "."])?;
    git(dir, &["commit", "-q", "-m", "all"])
}
