//! Which files of a home say what happened, and what is printed of them.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// How much of the end of a log is kept.
pub(super) const LOG: u64 = 1 << 20;

/// A database, and what belongs to it, is kept whole up to this size.
pub(super) const DATABASE: u64 = 16 << 20;

/// How much is kept of a scenario.
pub(super) const MOST: u64 = 48 << 20;

/// How deep below `state` and `run` logs lie: `run/m/ID/console.log`.
pub(super) const DEPTH: usize = 4;

/// How many lines of a log are printed, and of how many logs of a home.
pub(super) const LINES: usize = 25;

const PRINTED: usize = 8;

pub(super) fn is_of_database(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    [".db", ".db-wal", ".db-shm"]
        .iter()
        .any(|end| name.ends_with(end))
}

fn is_evidence(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let is_text = [".log", ".log.1", ".toml"].iter().any(|end| name.ends_with(end));
    is_text || is_of_database(path)
}

/// Logs, databases and configuration below a directory. No links: a home may have some to what is not its own.
pub(super) fn found(dir: &Path, depth: usize) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let Ok(kind) = entry.file_type() else { continue };
        let path = entry.path();
        if kind.is_dir() && depth > 1 {
            all.extend(found(&path, depth - 1));
        } else if kind.is_file() && is_evidence(&path) {
            all.push(path);
        }
    }
    all.sort();
    all
}

/// The ends of the logs in the evidence.
pub(super) fn tails(place: &Path) -> String {
    let mut text = String::new();
    let logs = found(place, DEPTH + 2);
    let is_log = |path: &&PathBuf| path.to_string_lossy().ends_with(".log");
    // The daemons first: what a scenario expected and did not see seldom has the reason.
    let (daemons, others): (Vec<_>, Vec<_>) = logs
        .iter()
        .filter(is_log)
        .partition(|path| path.ends_with("bangerd.log"));
    for path in daemons.into_iter().chain(others).take(PRINTED) {
        let Ok(mut file) = File::open(path) else { continue };
        let mut bytes = Vec::new();
        if file.read_to_end(&mut bytes).is_err() || bytes.is_empty() {
            continue;
        }
        let content = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = content.lines().collect();
        let last = &lines[lines.len().saturating_sub(LINES)..];
        let name = path.strip_prefix(place).unwrap_or(path).display();
        let _ = write!(text, "\nthe end of {name}:");
        for line in last {
            let _ = write!(text, "\n  {}", shown(line));
        }
    }
    text
}

/// A line without what a terminal would take for more than text: guests and images wrote some of it.
pub(super) fn shown(line: &str) -> String {
    let is_plain = |char: char| !char.is_control() || char == '\t';
    line.chars()
        .map(|char| if is_plain(char) { char } else { '\u{fffd}' })
        .collect()
}
