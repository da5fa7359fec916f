//! A package mirror for one scenario: what `apt-get` in a guest installs, and nothing else.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

/// Lays a mirror of `packages` in `dir`, with whatever of their dependencies a system lacks whose dpkg has this `status`.
/// The packages are those of this host's release. In a `sources.list` it is `deb [trusted=yes] http://HOST/ ./`.
///
/// # Errors
/// When a package cannot be had.
pub fn lay_mirror(dir: &Path, status: &str, packages: &[&str]) -> Result<()> {
    std::fs::create_dir_all(dir.join("partial"))?;
    let known = tempfile::NamedTempFile::new()?;
    std::fs::write(known.path(), status)?;
    let option = |name: &str, path: &Path| format!("{name}={}", path.display());
    run(Command::new("apt-get")
        .args(["install", "--download-only", "--yes", "--no-install-recommends"])
        .args(["-o", "Debug::NoLocking=true"])
        .args(["-o", &option("Dir::State::status", known.path())])
        .args(["-o", &option("Dir::Cache::archives", dir)])
        .args(packages))?;
    let mut index = String::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            index += &paragraph(&path)?;
        }
    }
    ensure!(!index.is_empty(), "{} has no packages", dir.display());
    std::fs::write(dir.join("Packages"), index)?;
    Ok(())
}

/// A package's paragraph in the index (Debian's repository format, section "Packages" indices).
fn paragraph(package: &Path) -> Result<String> {
    let name = package.file_name().context("a file's name")?.to_string_lossy();
    let content = std::fs::read(package)?;
    let mut paragraph = run(Command::new("dpkg-deb").arg("--field").arg(package))?;
    let digest = Sha256::digest(&content)
        .iter()
        .fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        });
    write!(
        paragraph,
        "Filename: ./{name}\nSize: {}\nSHA256: {digest}\n\n",
        content.len()
    )?;
    Ok(paragraph)
}

fn run(command: &mut Command) -> Result<String> {
    let line = format!("{command:?}");
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("start {line}"))?;
    let words = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{line}: {words}");
    Ok(String::from_utf8(output.stdout)?)
}
