//! Where a helper's socket is.

use std::path::PathBuf;

/// Where a helper's socket is, if this daemon may use one.
pub(crate) fn socket_of(home: bool, owner: u32) -> Option<PathBuf> {
    match std::env::var_os("BANGER_ROOT_SOCKET") {
        Some(path) if path.is_empty() => None,
        Some(path) => Some(PathBuf::from(path)),
        None if home => None,
        None => Some(PathBuf::from(format!("/run/banger-root/{owner}.sock"))),
    }
}
