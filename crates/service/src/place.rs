//! Where the files are.

use std::path::{Path, PathBuf};

use banger_model::network::{InvalidRoom, Room};

use crate::unit;

/// The program that is installed, and the user that it becomes.
pub const PROGRAM: &str = "banger-root";

/// Where the files are: below `/`, or below the root directory of another system that is being made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    root: PathBuf,
}

impl Place {
    /// This host.
    pub fn here() -> Self {
        Self::below(Path::new("/"))
    }

    /// The system whose root directory is `root`.
    pub fn below(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
        }
    }

    /// A path of that system, as seen from here.
    pub fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// The copy that root runs.
    pub fn program(&self) -> PathBuf {
        self.at(unit::PROGRAM)
    }

    /// The template of units.
    pub fn template(&self) -> PathBuf {
        self.at("/etc/systemd/system/banger-root@.service")
    }

    /// The directory of links to units that are started with the system.
    pub fn wants(&self) -> PathBuf {
        self.at("/etc/systemd/system/multi-user.target.wants")
    }

    /// What root decided for an owner.
    pub fn settings(&self, owner: u32) -> PathBuf {
        self.at(&unit::settings(&owner.to_string()))
    }

    /// The range that root fixed for an owner; none if the default holds.
    pub fn range(&self, owner: u32) -> Result<Option<Room>, InvalidRoom> {
        let text = std::fs::read_to_string(self.settings(owner)).unwrap_or_default();
        let key = format!("{}=", unit::RANGE);
        let value = text.lines().find_map(|line| line.strip_prefix(&key));
        value.map(str::parse).transpose()
    }

    /// What the helper of an owner records.
    pub fn state(&self, owner: u32) -> PathBuf {
        self.at(&format!("/var/lib/banger-root/{owner}"))
    }

    /// Where the helper of an owner answers.
    pub fn socket(&self, owner: u32) -> PathBuf {
        self.at(&format!("/run/banger-root/{owner}.sock"))
    }
}

/// The unit of an owner.
pub fn unit_of(owner: u32) -> String {
    format!("banger-root@{owner}.service")
}
