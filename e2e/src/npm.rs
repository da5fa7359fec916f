//! Programs and libraries from npm, each set in a directory of its own below `target/e2e/npm`, made when it is asked for first.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::place;

/// What makes a client of an OpenAPI document in TypeScript, checks its types and compiles it.
pub const OPENAPI_CLIENT: &str =
    "npm:openapi-typescript@7.13.0 openapi-fetch@0.17.0 typescript@5.9.3 @types/node@20.19.25";

/// The packages of such a need, if it is one.
fn packages(need: &str) -> Option<Vec<&str>> {
    Some(need.strip_prefix("npm:")?.split(' ').collect())
}

/// Why such packages cannot be used here, if they cannot; nothing for other needs.
pub(crate) fn absence(need: &str) -> Option<Option<String>> {
    packages(need)?;
    Some(modules(need).err().map(|error| format!("{error:#}")))
}

/// The directory `node_modules` that has the packages.
///
/// # Errors
/// When there is no npm, or no registry that it reaches.
pub fn modules(need: &str) -> Result<PathBuf> {
    let packages = packages(need).context("a need of npm's")?;
    let name: Vec<_> = packages.iter().map(|package| package.replace('/', "+")).collect();
    let dir = place::shared()?.join("npm").join(name.join(","));
    let (modules, done) = (dir.join("node_modules"), dir.join("done"));
    let _making = place::exclusive("npm")?;
    if done.exists() {
        return Ok(modules);
    }
    std::fs::create_dir_all(&dir)?;
    // Without one, npm would take that of a directory above.
    std::fs::write(dir.join("package.json"), "{\"private\": true}\n")?;
    let mut command = Command::new("npm");
    command
        .args([
            "install",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--fetch-retries=1",
            "--save-exact",
        ])
        .args(&packages)
        .current_dir(&dir)
        .stdin(Stdio::null());
    let ran = command.output().context("this host's npm does not start")?;
    let words = String::from_utf8_lossy(&ran.stderr).into_owned();
    ensure!(
        ran.status.success(),
        "`npm install {}`: {words}",
        packages.join(" ")
    );
    std::fs::write(done, "")?;
    Ok(modules)
}
