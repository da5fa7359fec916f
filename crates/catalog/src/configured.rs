//! A catalog as its user knows it.

use std::path::PathBuf;

use crate::location::Location;
use crate::signature::PublicKey;

/// A catalog as it is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalog {
    /// What the user calls it.
    pub name: String,
    /// Where it is.
    pub location: Location,
    /// Who vouches for it.
    pub key: PublicKey,
    /// Where it is kept which serial was seen, so that no older one is taken; nothing when any will do.
    pub seen_dir: Option<PathBuf>,
}
