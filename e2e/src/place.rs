//! Where the programs are that are tested, and what scenarios share: `target/debug` and `target/e2e`.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use rustix::fs::{FlockOperation, flock};

/// The variable that names the directory of homes. Its path must be short, because paths of sockets have to be.
pub const HOMES: &str = "BANGER_TEST_HOMES";

/// A new directory with a short path, for a home or for sockets.
///
/// # Errors
/// When it cannot be made.
pub fn short_dir(prefix: &str) -> Result<tempfile::TempDir> {
    let homes = std::env::var_os(HOMES).unwrap_or_else(|| "/tmp".into());
    let dir = tempfile::Builder::new().prefix(prefix).tempdir_in(&homes);
    dir.with_context(|| format!("failed to create a directory in {}", homes.display()))
}

/// Where the programs are that are tested: `target/debug`, as `make test` builds them.
pub(crate) fn programs() -> Result<PathBuf> {
    // A test is target/debug/deps/stories-…, and a bench is beside them.
    let us = std::env::current_exe()?;
    let mut places = us.ancestors().skip(1).take(2);
    let tests = us.ancestors().nth(2).context("find the target directory")?;
    let dir = places.find(|dir| dir.join("bangerd").exists()).unwrap_or(tests);
    ensure!(
        dir.join("bangerd").exists(),
        "{} has no bangerd: `make test` builds what this tests",
        dir.display()
    );
    Ok(dir.to_owned())
}

/// Where the shared store is.
pub(crate) fn shared() -> Result<PathBuf> {
    let target = programs()?
        .parent()
        .map(Path::to_owned)
        .context("find the target directory")?;
    Ok(target.join("e2e"))
}

/// A directory below the shared one, for what a scenario makes again each time and somebody may look at afterwards.
///
/// # Errors
/// When there is no target directory.
pub fn scratch(name: &str) -> Result<PathBuf> {
    Ok(shared()?.join(name))
}

/// Against whoever else holds the lock of this name, in any process, until the file is closed.
pub(crate) fn exclusive(name: &str) -> Result<File> {
    let shared = shared()?;
    std::fs::create_dir_all(&shared)?;
    let file = File::create(shared.join(name).with_extension("lock"))?;
    flock(&file, FlockOperation::LockExclusive)?;
    Ok(file)
}
