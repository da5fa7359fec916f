//! What an edit costs: the incremental build after a line of the HTTP layer, beside the state in which the daemon was one crate;
//! and which crates a line of the packet filter has built again.
//!
//! Both states are built in clones of their own below `target/bench/build`, which stay for the next time.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::figure::{Figure, median_of};
use crate::repository;

const RUNS: usize = 5;

/// The last state in which the daemon was one crate of 21,000 lines.
const BEFORE: &str = "42496c7a1a4539c2c46576efc636bdd39223f547";

/// A file of the HTTP layer, and one of the packet filter.
const HTTP: &str = "crates/daemon/src/http/mod.rs";
const FILTER: &str = "crates/netplan/src/filter/mod.rs";

/// What a change of the packet filter is to leave alone.
const APART: [&str; 4] = ["banger-image", "banger-vmm", "banger-api", "banger"];

pub(super) fn measure_http() -> Result<Vec<Figure>> {
    let before = Tree::of("before", BEFORE)?;
    let now = Tree::of("now", "HEAD")?;
    let (mut then, mut today, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..RUNS {
        let (old, new) = (before.after(HTTP, round)?, now.after(HTTP, round)?);
        ratios.push(new / old);
        then.push(old);
        today.push(new);
    }
    Ok(vec![
        Figure::of("build.http_ratio", &ratios)
            .phase("cargo build before, s", median_of(then))
            .phase("cargo build, s", median_of(today)),
    ])
}

pub(super) fn measure_filter() -> Result<Vec<Figure>> {
    let now = Tree::of("now", "HEAD")?;
    let built = now.touched(FILTER, 0)?.built()?;
    ensure!(
        built.iter().any(|name| name.starts_with("bangerd")),
        "a change of {FILTER} rebuilt nothing"
    );
    let touched = APART.iter().filter(|name| built.contains(**name)).count();
    Ok(vec![
        Figure::of("build.filter_crates", &[touched as f64]).phase("built again, crates", built.len() as f64),
    ])
}

/// A state of the repository with what was built of it.
struct Tree(PathBuf);

impl Tree {
    /// The state of a commit, built.
    fn of(name: &str, commit: &str) -> Result<Self> {
        let dir = repository::root().join("target/bench/build").join(name);
        let root = repository::root();
        if !dir.join(".git").exists() {
            let _ = std::fs::remove_dir_all(&dir);
            // It shares the objects and leaves nothing in the repository itself.
            let to = dir.to_string_lossy();
            git(
                &root,
                &["clone", "--quiet", "--shared", "--no-checkout", ".", &to],
            )?;
        }
        let id = git(&root, &["rev-parse", commit])?;
        git(&dir, &["checkout", "--quiet", "--force", "--detach", id.trim()])
            .with_context(|| format!("failed to extract {commit} from the repository's history"))?;
        let tree = Self(dir);
        tree.built()?;
        Ok(tree)
    }

    /// Adds a line to a file.
    fn touched(&self, file: &str, round: usize) -> Result<&Self> {
        let path = self.0.join(file);
        let line = format!("\n#[allow(dead_code)]\nfn touched_{round}() -> usize {{ {round} }}\n");
        let mut file = std::fs::OpenOptions::new()
            .append(true)
            .open(&path)
            .with_context(|| format!("failed to change {}", path.display()))?;
        file.write_all(line.as_bytes())?;
        Ok(self)
    }

    /// How long `cargo build` takes after a line was added to a file, in seconds.
    fn after(&self, file: &str, round: usize) -> Result<f64> {
        self.touched(file, round)?;
        let since = Instant::now();
        let built = self.built()?;
        let took = since.elapsed().as_secs_f64();
        ensure!(!built.is_empty(), "a change of {file} rebuilt nothing");
        Ok(took)
    }

    /// Builds it and gives the packages that were built.
    fn built(&self) -> Result<BTreeSet<String>> {
        let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args(["build", "--quiet", "--message-format", "json"])
            .current_dir(&self.0)
            .env_remove("CARGO_TARGET_DIR")
            .stderr(Stdio::inherit())
            .output()
            .context("failed to run cargo")?;
        ensure!(
            output.status.success(),
            "cargo build in {} failed",
            self.0.display()
        );
        let messages = output.stdout.split(|&byte| byte == b'\n');
        let artifacts = messages.filter_map(|line| serde_json::from_slice::<Artifact>(line).ok());
        Ok(artifacts
            .filter(|artifact| !artifact.fresh)
            .map(|artifact| artifact.package())
            .collect())
    }
}

/// A message of cargo's about something that it has built (the Cargo Book, "External tools").
#[derive(Deserialize)]
struct Artifact {
    package_id: String,
    fresh: bool,
}

impl Artifact {
    /// `path+file:///…/crates/cli#banger@0.1.0`, or `…/crates/banger#0.1.0` where the directory has the package's name.
    fn package(&self) -> String {
        let (path, after) = self.package_id.rsplit_once('#').unwrap_or(("", &self.package_id));
        match after.split_once('@') {
            Some((name, _)) => name.to_owned(),
            None => path.rsplit('/').next().unwrap_or_default().to_owned(),
        }
    }
}

/// Runs git and gives what it prints.
fn git(dir: &Path, args: &[&str]) -> Result<String> {
    let output = Command::new("git").args(args).current_dir(dir).output()?;
    let words = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "git {}: {words}", args.join(" "));
    Ok(String::from_utf8(output.stdout)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_known_by_either_form_of_their_id() {
        for (id, name) in [
            ("path+file:///work/crates/cli#banger@0.1.0", "banger"),
            ("path+file:///work/crates/bangerd#0.1.0", "bangerd"),
        ] {
            let artifact = Artifact {
                package_id: id.to_owned(),
                fresh: false,
            };
            assert_eq!(artifact.package(), name);
        }
    }
}
