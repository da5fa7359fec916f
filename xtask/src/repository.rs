//! Where this repository is, and the documents that are generated into it.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// The top of the checkout that this program was built from.
pub(crate) fn root() -> PathBuf {
    let xtask = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().map_or(xtask.clone(), PathBuf::from)
}

/// The cargo that runs us, else the one on `PATH`.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root());
    cargo
}

/// Asks `bangerd` for its OpenAPI document and keeps it.
pub(crate) fn write_openapi() -> Result<()> {
    let output = cargo()
        .args(["run", "--quiet", "-p", "bangerd", "--", "openapi"])
        .output()
        .context("run `bangerd openapi`")?;
    ensure!(
        output.status.success(),
        "`bangerd openapi` failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let path = root().join("docs/openapi.json");
    std::fs::write(&path, output.stdout).with_context(|| format!("write {}", path.display()))?;
    println!("wrote {}", path.display());
    Ok(())
}
