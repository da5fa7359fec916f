//! The packet filter, by the program `nft`: a script on its input, nothing on its command line.

use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Where the program is.
pub(crate) const PATHS: [&str; 3] = ["/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft"];

/// Makes the changes of a script as one transaction.
pub(super) fn apply(script: &str) -> io::Result<()> {
    if script.is_empty() {
        return Ok(());
    }
    run(&["-f", "-"], script).map(drop)
}

/// All tables of all families.
pub(super) fn list() -> io::Result<String> {
    let listing = run(&["-nn", "-s", "list", "ruleset"], "")?;
    String::from_utf8(listing.stdout).map_err(io::Error::other)
}

fn run(arguments: &[&str], input: &str) -> io::Result<Output> {
    let program = PATHS.iter().find(|path| Path::new(path).exists());
    let program = program.ok_or_else(|| io::Error::other("there is no nft: install nftables"))?;
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    // It reads all of its input before it writes. If it dies before, its own words say more than the broken pipe.
    let written = child
        .stdin
        .take()
        .map_or(Ok(()), |mut stdin| stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output()?;
    if output.status.success() {
        return written.map(|()| output);
    }
    let words = String::from_utf8_lossy(&output.stderr);
    // The script's line, which it repeats, may be of any length.
    let words: Vec<&str> = words
        .lines()
        .filter(|line| line.contains("rror"))
        .take(3)
        .collect();
    Err(io::Error::other(format!(
        "nft ended with {}: {}",
        output.status,
        words.join("; ")
    )))
}
