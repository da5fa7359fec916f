//! What the image says of itself: os-release(5).

use std::path::Path;

/// `PRETTY_NAME` of the image below `root`.
pub(crate) fn pretty_name(root: &Path) -> Option<String> {
    let text = ["etc/os-release", "usr/lib/os-release"]
        .iter()
        .find_map(|path| std::fs::read_to_string(root.join(path)).ok())?;
    let value = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(value.trim().trim_matches(['"', '\'']).to_owned())
}
