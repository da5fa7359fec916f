//! Where this repository is, and the documents that are generated into it.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use banger_api::openapi;

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

/// Writes the API's description, for programs and for people.
pub(crate) fn write_openapi() -> Result<()> {
    for (name, text) in [
        ("docs/openapi.json", openapi::document() + "\n"),
        ("docs/api.md", openapi::table()),
    ] {
        let path = root().join(name);
        std::fs::write(&path, text).with_context(|| format!("failed to write {}", path.display()))?;
        println!("wrote {}", path.display());
    }
    Ok(())
}

/// The commit that is checked out, abbreviated.
pub(crate) fn commit() -> String {
    let output = Command::new("git")
        .args(["rev-parse", "--short", "HEAD"])
        .current_dir(root())
        .output();
    output
        .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        .unwrap_or_default()
}
