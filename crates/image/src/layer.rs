//! The parts of an image that lie on each other.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A read-only file system of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Stored")]
pub struct Layer {
    /// Where it is: an absolute path.
    pub path: PathBuf,
    /// What is in it.
    pub kind: LayerKind,
}

/// What is in a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LayerKind {
    /// A file tree.
    Tree,
    /// The writable disk of a VM: its changes are in `upper`, as the kernel's overlayfs keeps them.
    Disk,
}

/// As it is in records; older ones have just the path of a tree.
#[derive(Deserialize)]
#[serde(untagged)]
enum Stored {
    Path(PathBuf),
    Layer { path: PathBuf, kind: LayerKind },
}

impl From<Stored> for Layer {
    fn from(stored: Stored) -> Self {
        match stored {
            Stored::Path(path) => Self::tree(path),
            Stored::Layer { path, kind } => Self { path, kind },
        }
    }
}

impl Layer {
    pub(crate) fn tree(path: PathBuf) -> Self {
        Self {
            path,
            kind: LayerKind::Tree,
        }
    }

    pub(crate) fn disk(path: PathBuf) -> Self {
        Self {
            path,
            kind: LayerKind::Disk,
        }
    }
}
