//! Whose commits are made in the guest: settings of the host's that hold where the image says nothing else.
//!
//! They are in memory. `/etc/gitconfig` includes them before all that it says itself, because git takes the last of several
//! values; git passes over a file that is not there, so the line may stay when the settings do not.

use std::io;
use std::path::Path;

/// Where the settings are, below the root.
const SETTINGS: &str = "run/banger/gitconfig";

/// The system's settings (git-config(1), "FILES").
const SYSTEM: &str = "etc/gitconfig";

const INCLUDE: &str = "# Whose commits are made in this VM, as the host has it; anything said below goes before.\n\
                       [include]\n\tpath = /run/banger/gitconfig\n";

/// Lets git below `root`, the guest's `/`, have these settings.
pub(super) fn configure(settings: &str, root: &Path) -> io::Result<()> {
    let file = root.join(SETTINGS);
    if let Some(dir) = file.parent() {
        std::fs::create_dir_all(dir)?;
    }
    std::fs::write(file, settings)?;
    let system = root.join(SYSTEM);
    // A link leads to what the image's own way of configuration made.
    if system.is_symlink() {
        return Ok(());
    }
    let present = match std::fs::read(&system) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        present => present?,
    };
    if present.starts_with(INCLUDE.as_bytes()) {
        return Ok(());
    }
    std::fs::write(system, [INCLUDE.as_bytes(), &present].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_images_own_settings_come_last_and_the_line_comes_once() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("etc")).unwrap();
        let own = "[user]\n\tname = Image\n";
        std::fs::write(root.path().join(SYSTEM), own).unwrap();
        for name in ["One", "Two"] {
            configure(&format!("[user]\n\tname = {name}\n"), root.path()).unwrap();
        }
        let system = std::fs::read_to_string(root.path().join(SYSTEM)).unwrap();
        assert_eq!(system, format!("{INCLUDE}{own}"));
        let settings = std::fs::read_to_string(root.path().join(SETTINGS)).unwrap();
        assert!(settings.contains("Two"));
    }

    #[test]
    fn a_link_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("etc")).unwrap();
        std::os::unix::fs::symlink("/nowhere/gitconfig", root.path().join(SYSTEM)).unwrap();
        configure("", root.path()).unwrap();
        assert!(root.path().join(SYSTEM).is_symlink());
    }
}
