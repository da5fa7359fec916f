//! Clients from PyPI, each in an environment of its own below `target/e2e/python`, made when it is asked for first.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Result, ensure};

use crate::store;

/// SSH in Python.
pub const PARAMIKO: &str = "python:paramiko";
/// SSH in Python, of other authors.
pub const ASYNCSSH: &str = "python:asyncssh";
/// What configures hosts by SSH.
pub const ANSIBLE: &str = "python:ansible-core";

/// The package of such a need, if it is one.
fn package(need: &str) -> Option<&str> {
    need.strip_prefix("python:")
}

/// Why such a client cannot be used here, if it cannot; nothing for other needs.
pub(crate) fn absence(need: &str) -> Option<Option<String>> {
    package(need)?;
    Some(interpreter(need).err().map(|error| format!("{error:#}")))
}

/// The Python that has the package.
///
/// # Errors
/// When there is no Python, or no index of packages that it reaches.
pub fn interpreter(need: &str) -> Result<PathBuf> {
    let package = package(need).unwrap_or(need);
    let dir = store::shared()?.join("python").join(package);
    let python = dir.join("bin/python");
    let done = dir.join("done");
    if done.exists() {
        return Ok(python);
    }
    let run = |program: PathBuf, args: &[&str]| -> Result<()> {
        let mut command = Command::new(&program);
        command.args(args).stdin(Stdio::null());
        let ran = command.output();
        let ran = ran.map_err(|error| anyhow::anyhow!("`{}`: {error}", program.display()))?;
        let words = String::from_utf8_lossy(&ran.stderr).into_owned();
        ensure!(
            ran.status.success(),
            "`{} {}`: {words}",
            program.display(),
            args.join(" ")
        );
        Ok(())
    };
    let at = dir.display().to_string();
    run("python3".into(), &["-m", "venv", "--clear", &at])?;
    let install = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--retries",
        "1",
        package,
    ];
    run(python.clone(), &install)?;
    std::fs::write(done, "")?;
    Ok(python)
}
