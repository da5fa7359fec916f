//! Programs and libraries from PyPI, each set in an environment of its own below `target/e2e/python`, made when it is asked for first.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Result, ensure};

use crate::place;

/// SSH in Python.
pub const PARAMIKO: &str = "python:paramiko";
/// SSH in Python, of other authors.
pub const ASYNCSSH: &str = "python:asyncssh";
/// What configures hosts by SSH.
pub const ANSIBLE: &str = "python:ansible-core";

/// What says whether an OpenAPI document is valid.
pub const OPENAPI_VALIDATOR: &str = "python:openapi-spec-validator==0.9.0";
/// What makes a client of an OpenAPI document, and checks its types.
pub const OPENAPI_CLIENT: &str = "python:openapi-python-client==0.29.1 mypy==2.4.1";

/// The packages of such a need, if it is one.
fn packages(need: &str) -> Option<Vec<&str>> {
    Some(need.strip_prefix("python:")?.split(' ').collect())
}

/// Why such a client cannot be used here, if it cannot; nothing for other needs.
pub(crate) fn absence(need: &str) -> Option<Option<String>> {
    packages(need)?;
    Some(interpreter(need).err().map(|error| format!("{error:#}")))
}

/// The Python that has the packages.
///
/// # Errors
/// When there is no Python, or no index of packages that it reaches.
pub fn interpreter(need: &str) -> Result<PathBuf> {
    let packages = packages(need).unwrap_or_else(|| vec![need]);
    let dir = place::shared()?.join("python").join(packages.join(","));
    let python = dir.join("bin/python");
    let done = dir.join("done");
    let _making = place::exclusive("python")?;
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
    ];
    run(python.clone(), &[&install, &packages[..]].concat())?;
    std::fs::write(done, "")?;
    Ok(python)
}
