//! Whether a place is root's alone: what root runs must be nobody else's to replace.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Write permission of the group and of others.
const OTHERS: u32 = 0o022;

/// A place that is not.
#[derive(Debug, thiserror::Error)]
pub enum Distrust {
    /// It cannot be looked at.
    #[error("cannot inspect {}", .path.display())]
    Look {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another user's.
    #[error("{} belongs to user {owner}, who could replace a file that root runs", .path.display())]
    Owner {
        /// Which.
        path: PathBuf,
        /// Whose.
        owner: u32,
    },
    /// Open to others.
    #[error("{} is writable by users other than root, who could replace a file that root runs", .path.display())]
    Open {
        /// Which.
        path: PathBuf,
    },
}

impl Distrust {
    /// The command that fixes it.
    pub fn hint(&self) -> String {
        match self {
            Self::Look { path, .. } => format!("ls -ld {}", path.display()),
            Self::Owner { path, .. } => format!("sudo chown root:root {}", path.display()),
            Self::Open { path } => format!("sudo chmod go-w {}", path.display()),
        }
    }
}

/// Checks the directories on the way to `path`, as far as they exist.
pub fn check(path: &Path) -> Result<(), Distrust> {
    let existing = path
        .ancestors()
        .find(|dir| dir.exists())
        .unwrap_or(Path::new("/"));
    let look = |path: &Path, source| Distrust::Look {
        path: path.to_owned(),
        source,
    };
    // A link may lead to where others write.
    let real = fs::canonicalize(existing).map_err(|source| look(existing, source))?;
    for dir in real.ancestors() {
        let metadata = fs::metadata(dir).map_err(|source| look(dir, source))?;
        let path = dir.to_owned();
        if metadata.uid() != 0 {
            let owner = metadata.uid();
            return Err(Distrust::Owner { path, owner });
        }
        if metadata.mode() & OTHERS != 0 {
            return Err(Distrust::Open { path });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_others_write_to_is_refused() {
        check(Path::new("/usr/lib/there/is/no/such")).unwrap();
        // Everyone writes to /tmp, so whatever is below could be replaced.
        let dir = tempfile::tempdir_in("/tmp").unwrap();
        let error = check(&dir.path().join("lib/banger-root")).unwrap_err();
        assert!(!error.hint().is_empty(), "{error}");
        std::os::unix::fs::symlink("/tmp", dir.path().join("link")).unwrap();
        let through = check(&dir.path().join("link/banger-root")).unwrap_err();
        assert!(
            matches!(&through, Distrust::Open { path } if path == Path::new("/tmp")),
            "{through}"
        );
    }
}
