//! `cargo xtask test`: every test, or the quick ones, under nextest; and at the end what was ignored and why, and which
//! scenarios were repeated.

mod ignored;
mod memory;
mod record;

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use banger_e2e::stalls;

use self::ignored::Ignored;
use self::memory::Memory;
pub(crate) use self::record::{Record, recorded};
use crate::repository;

/// The tests that are run at every edit: all but those that boot guests, mount images or make networks; and without the
/// generators, type checkers and validators that the API's description is fed to, which have only a round trip with the fake
/// backend at their end.
const QUICK: &str = "not test(/^(tcg|firecracker)::/) & not test(/^\\[.*\\] (tcg|firecracker)::/) \
                     & not package(banger-ext4) & not (package(banger-image) & kind(test)) \
                     & not binary(namespaced) & not test(/^fake::.*(often|random|gibibyte)/) \
                     & not test(/^fake::(a_generated_.*_client_works|openapi_is_valid)/)";

/// Which tests are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All of them.
    Full,
    /// Units, the core and scenarios with the fake backend.
    Quick,
}

impl Extent {
    const fn profile(self) -> &'static str {
        match self {
            Self::Full => "default",
            Self::Quick => "quick",
        }
    }

    /// The figure that says how long they take.
    const fn figure(self) -> &'static str {
        match self {
            Self::Full => "test.full_s",
            Self::Quick => "test.quick_s",
        }
    }

    /// Where their files are, if not on a disk.
    fn memory(self) -> Result<Option<Memory>> {
        match self {
            Self::Full => Ok(None),
            Self::Quick => Memory::take(),
        }
    }

    /// Which tests these are, as a filter of nextest's. Those that are ignored here stay out by name: nextest knows no
    /// reasons, and is told to run ignored tests for the sake of those that need root.
    fn filter(self, is_root: bool, names: &[String]) -> String {
        let mut filter = format!("not test(/^\\[{}/)", banger_needs::IGNORED);
        if !is_root {
            filter += &format!(" & not test(/{}::/)", ignored::NEEDS_ROOT);
        }
        if self == Self::Quick {
            filter += " & ";
            filter += QUICK;
        }
        if !names.is_empty() {
            let any: Vec<String> = names.iter().map(|name| format!("test({name})")).collect();
            filter += &format!(" & ({})", any.join(" | "));
        }
        filter
    }
}

/// Runs the tests of this extent; those whose names contain one of `names`, if there are any.
pub(crate) fn run(extent: Extent, names: &[String]) -> Result<()> {
    let run = format!("{}-{}", std::process::id(), now());
    if extent == Extent::Full && names.is_empty() {
        // The record of attack cases starts over: what did not run counts nothing.
        let _ = std::fs::remove_dir_all(banger_cases::directory());
    }
    // What is not required may be missing; where it is, those tests are run, and fail.
    let is_root = rustix::process::geteuid().is_root() || is_required("root");
    if !has_nextest() {
        return without_nextest(extent, names, is_root, &run);
    }
    let filter = extent.filter(is_root, names);
    nextest(extent, &["run", "--no-run"])?;
    let ignored = Ignored::list(
        &nextest_output(extent, &["list", "--message-format", "json"])?,
        is_root,
    )?;
    let since = Instant::now();
    // Scenarios wait more than they work, those of the quick tests for more than half of their time; those that boot a guest take
    // two places (.config/nextest.toml).
    let places = match extent {
        Extent::Full => 3,
        Extent::Quick => 4,
    };
    let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get) * places;
    let mut tests = repository::cargo();
    tests
        .args(["nextest", "run", "--workspace", "--profile", extent.profile()])
        .args(["--run-ignored", "all", "--no-fail-fast", "--filterset", &filter])
        .args(["--test-threads", &threads.to_string()])
        .env(stalls::RUN, &run);
    let memory = extent.memory()?;
    if let Some(memory) = &memory {
        memory.serve(&mut tests);
    }
    let passed = tests.status().context("failed to run `cargo nextest`")?.success();
    let took = since.elapsed();
    drop(memory);
    let ignored = match extent {
        Extent::Full => ignored,
        Extent::Quick => ignored.of_the_fake(),
    };
    print!("{ignored}");
    ignored.write_junit(
        &repository::root()
            .join("target/nextest")
            .join(extent.profile())
            .join("junit.xml"),
    )?;
    let repeated = stalls::repeated_in(&repository::root().join("target/e2e"), &run);
    if !repeated.is_empty() {
        println!(
            "{} scenarios met the known fault of QEMU's vsock device, of at most {}:\n  {}",
            repeated.len(),
            stalls::AT_MOST,
            repeated.join("\n  ")
        );
    }
    println!(
        "tests: {:.0} s, JUnit in target/nextest/{}/junit.xml",
        took.as_secs_f64(),
        extent.profile()
    );
    ensure!(
        repeated.len() <= stalls::AT_MOST,
        "more than {} scenarios met the known fault of QEMU's vsock device",
        stalls::AT_MOST
    );
    if !passed {
        let failed = repository::root().join("target/e2e/failed");
        bail!(
            "tests failed; scenarios leave their evidence in {}",
            failed.display()
        );
    }
    if names.is_empty() {
        Record::new(took).write(extent.figure())?;
    }
    Ok(())
}

fn has_nextest() -> bool {
    let mut version = repository::cargo();
    version
        .args(["nextest", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    version.status().is_ok_and(|status| status.success())
}

/// Runs all tests under `cargo test`, on a host that has no nextest: to build it takes minutes, and more than some hosts may give
/// to a run of the tests. There is no JUnit then, and no limit for each test but that of scenarios.
fn without_nextest(extent: Extent, names: &[String], is_root: bool, run: &str) -> Result<()> {
    ensure!(
        extent == Extent::Full && names.is_empty(),
        "there is no cargo-nextest: `scripts/setup.sh quick` installs it"
    );
    println!(
        "there is no cargo-nextest (`scripts/setup.sh quick` installs it): this is `cargo test`, without JUnit"
    );
    let since = Instant::now();
    let test = |more: &[&str]| -> Result<bool> {
        let mut cargo = repository::cargo();
        cargo
            .args(["test", "--workspace", "--no-fail-fast"])
            .args(more)
            .env(stalls::RUN, run);
        Ok(cargo.status().context("failed to run `cargo test`")?.success())
    };
    let mut passed = test(&[])?;
    if is_root {
        // Units that need root; scenarios know by themselves.
        passed &= test(&["--lib", "--bins", "--", "--ignored", ignored::NEEDS_ROOT])?;
    }
    let repeated = stalls::repeated_in(&repository::root().join("target/e2e"), run);
    ensure!(
        repeated.len() <= stalls::AT_MOST,
        "more than {} scenarios met the known fault of QEMU's vsock device: {}",
        stalls::AT_MOST,
        repeated.join(", ")
    );
    ensure!(
        passed,
        "tests failed; scenarios leave their evidence in target/e2e/failed"
    );
    Record::new(since.elapsed()).write(extent.figure())
}

/// Seconds of now: no earlier run of this process id had it.
fn now() -> u64 {
    std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs()
}

fn is_required(need: &str) -> bool {
    let required = std::env::var(banger_needs::REQUIRE).unwrap_or_default();
    required
        .split(',')
        .any(|word| word.trim() == need || word.trim() == "all")
}

fn nextest(extent: Extent, args: &[&str]) -> Result<()> {
    let status = repository::cargo()
        .arg("nextest")
        .args(args)
        .args(["--workspace", "--profile", extent.profile()])
        .status()
        .context("failed to run `cargo nextest`")?;
    ensure!(
        status.success(),
        "`cargo nextest {}` failed; scripts/setup.sh test installs nextest",
        args.join(" ")
    );
    Ok(())
}

fn nextest_output(extent: Extent, args: &[&str]) -> Result<String> {
    let output = repository::cargo()
        .arg("nextest")
        .args(args)
        .args([
            "--workspace",
            "--run-ignored",
            "all",
            "--profile",
            extent.profile(),
        ])
        .output()
        .context("failed to run `cargo nextest`")?;
    let words = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "`cargo nextest {}`: {words}",
        args.join(" ")
    );
    Ok(String::from_utf8(output.stdout)?)
}

/// Where records of figures that tests take are.
fn records() -> PathBuf {
    repository::root().join("target/bench")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_leaves_out_what_cannot_run() {
        let full = Extent::Full.filter(true, &[]);
        assert_eq!(full, "not test(/^\\[ignored: /)");
        let user = Extent::Full.filter(false, &["copy".to_owned(), "sync".to_owned()]);
        assert_eq!(
            user,
            "not test(/^\\[ignored: /) & not test(/needs_root::/) & (test(copy) | test(sync))"
        );
    }
}
