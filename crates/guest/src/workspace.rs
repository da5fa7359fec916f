//! Placing a workspace: what the guest has, and the stream that changes it.
//!
//! The guest keeps a *manifest* of what was placed, each file with a *tag* that the host chose for its content. The host
//! asks first ([`Look`]): is the manifest the one that I know ([`Seen::Placed`]'s `same`), and which of its files does the
//! guest have otherwise now? Then it sends what differs, as a stream of entries in frames of standard input, and the guest says
//! in the end what came of it ([`crate::FilesEnd`]):
//!
//! ```text
//! entry   := kind:u8 path_len:u32 path mode:u32 mtime_s:i64 mtime_ns:u32 content tag_len:u32 tag
//! content := (len:u32 bytes)* 0:u32                          integers are big-endian
//! ```
//!
//! Content is in chunks and the tag comes after it, because a file may change while it is read: then its tag says so.

use serde::{Deserialize, Serialize};

use crate::query::{self, Query, QueryError};

/// What the host asks about a workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Look {
    /// Absolute directory in the guest.
    pub path: String,
    /// The generation that the host knows the manifest of.
    #[serde(default)]
    pub generation: Option<String>,
    /// Paths under it, percent-encoded ([`crate::query::encoded`]), that are to be looked for beside those of the manifest.
    #[serde(default)]
    pub probe: Vec<String>,
}

/// What the guest has at that place. Paths are percent-encoded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Seen {
    /// Nothing, or an empty directory.
    Absent,
    /// Something that was not placed there by a host.
    Foreign,
    /// A workspace.
    Placed {
        /// Whether its manifest is the one of the generation that was asked for.
        same: bool,
        /// The manifest's paths and tags, when it is another.
        entries: Vec<(String, String)>,
        /// Paths of the manifest that are not as they were placed.
        changed: Vec<String>,
        /// Which of the probed paths are taken.
        taken: Vec<String>,
        /// Whether HEAD, its branch or the index are not as they were placed.
        git_touched: bool,
    },
}

/// The query of the route that changes a workspace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PutWorkspace {
    /// Absolute directory in the guest.
    pub path: String,
    /// Whose it is, as [`crate::Exec::user`] names them; root's when absent.
    pub owner: Option<String>,
}

impl PutWorkspace {
    /// It as a query.
    pub fn to_query(&self) -> String {
        let query = Query::default().add("path", self.path.as_bytes());
        let owner = self.owner.iter();
        owner
            .fold(query, |query, owner| query.add("owner", owner.as_bytes()))
            .end()
    }

    /// Reads it from a query.
    ///
    /// # Errors
    /// When the query has anything else, or no path.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        let mut put = Self::default();
        for pair in query::pairs(text) {
            let (name, value) = pair?;
            let text = |name| String::from_utf8(value).map_err(|_| QueryError::Value(name));
            match name {
                "path" => put.path = text("path")?,
                "owner" => put.owner = Some(text("owner")?),
                other => return Err(QueryError::Unknown(other.to_owned())),
            }
        }
        match put.path.is_empty() {
            true => Err(QueryError::Missing("path")),
            false => Ok(put),
        }
    }
}

/// Which workspace to make read-only, or writable again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Protect {
    /// Absolute directory in the guest.
    pub path: String,
    /// Whether it cannot be written to.
    pub readonly: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_says_where_and_whose() {
        for owner in [None, Some("1000:1000".to_owned()), Some("a b&c".to_owned())] {
            let path = "/root/re po".to_owned();
            let put = PutWorkspace { path, owner };
            assert_eq!(PutWorkspace::parse(&put.to_query()), Ok(put));
        }
        assert!(PutWorkspace::parse("owner=0").is_err());
        assert!(PutWorkspace::parse("path=/a&mode=777").is_err());
    }
}
