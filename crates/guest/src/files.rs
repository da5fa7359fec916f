//! Copying files into the guest and out of it.
//!
//! The connection switches to frames ([`crate::frame`]). Into the guest, standard input carries a tar, and an empty frame
//! ends it. Out of it, standard output carries a tar, or lines of [`Listed`]. One control frame with a [`FilesEnd`] says how
//! either ended; a stream without it was cut short. (Frames, because Firecracker's vsock has no half-closed connections, and
//! no HTTP body, because the agent shall do no more than a bare pipe would.)

use serde::{Deserialize, Serialize};

use crate::Failure;
use crate::query::{self, Query, QueryError};

/// The query of `PUT` [`crate::routes::FILES`]: where a tar goes. Its paths are any bytes; a relative one begins at `/root`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PutFiles {
    /// A directory to copy into, or a new name for what is copied.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub path: Vec<u8>,
    /// The names at the top of the tar; none if it is what is in a directory.
    #[cfg_attr(feature = "openapi", schema(rename = "name", value_type = Vec<String>, required = false))]
    pub names: Vec<Vec<u8>>,
    /// Keep owners, set-id bits, every attribute, devices and named pipes.
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub all: bool,
    /// Give everything to this user and group.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, required = false))]
    pub owner: Option<(u32, u32)>,
    /// Make the directory with those above it, and replace what is of another kind.
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub replace: bool,
    /// Leave out links that lead out of what is copied: it comes from another VM.
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub within: bool,
}

/// The query of `GET` [`crate::routes::FILES`]: what is packed. A relative path begins at `/root`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GetFiles {
    /// Files and trees; each is at the top of the tar by its last name, or what is in it, if that is `.`, `..` or `/`.
    #[cfg_attr(feature = "openapi", schema(rename = "path", value_type = Vec<String>))]
    pub paths: Vec<Vec<u8>>,
    /// Every attribute, devices and named pipes, too.
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub all: bool,
    /// What symbolic links lead to.
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub follow: bool,
}

/// The query of [`crate::routes::FILES_LIST`] and [`crate::routes::FILES_REMOVE`]: a directory. The body of the second is
/// the paths below it that go, each ended by a NUL.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OfDirectory {
    /// The directory; one that is not there has nothing in it.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub path: Vec<u8>,
}

/// What was copied.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FilesDone {
    /// Entries.
    pub entries: u64,
    /// Bytes of file content, without holes.
    pub bytes: u64,
    /// What was left out, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// How a stream of files ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum FilesEnd {
    /// It is whole.
    Done(FilesDone),
    /// It is not.
    Failed(Failure),
}

/// A file as [`crate::routes::FILES_LIST`] tells it, a line of JSON each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Listed {
    /// Its path below the directory, percent-encoded.
    pub path: String,
    /// What it is.
    pub kind: ListedKind,
    /// Its permissions.
    pub mode: u32,
    /// Its size in bytes.
    pub size: u64,
    /// When it was changed: seconds and nanoseconds since 1970.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<i64>))]
    pub mtime: (i64, u32),
    /// Where a symbolic link leads, percent-encoded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}

/// What a listed file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ListedKind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A symbolic link.
    Symlink,
    /// Something else.
    Other,
}

impl PutFiles {
    /// It as a query.
    pub fn to_query(&self) -> String {
        let mut query = Query::default().add("path", &self.path);
        for name in &self.names {
            query = query.add("name", name);
        }
        if let Some((uid, gid)) = self.owner {
            query = query.add("owner", format!("{uid}:{gid}").as_bytes());
        }
        let query = query.flag("all", self.all).flag("replace", self.replace);
        query.flag("within", self.within).end()
    }

    /// Reads it from a query.
    ///
    /// # Errors
    /// When the query has anything else, or not all.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        let mut put = Self::default();
        for pair in query::pairs(text) {
            match pair? {
                ("path", path) => put.path = path,
                ("name", name) => put.names.push(name),
                ("owner", owner) => put.owner = Some(ids(&owner).ok_or(QueryError::Value("owner"))?),
                ("all", value) => put.all = flag("all", &value)?,
                ("replace", value) => put.replace = flag("replace", &value)?,
                ("within", value) => put.within = flag("within", &value)?,
                (other, _) => return Err(QueryError::Unknown(other.to_owned())),
            }
        }
        given(&put.path)?;
        Ok(put)
    }
}

impl GetFiles {
    /// It as a query.
    pub fn to_query(&self) -> String {
        let mut query = Query::default();
        for path in &self.paths {
            query = query.add("path", path);
        }
        query.flag("all", self.all).flag("follow", self.follow).end()
    }

    /// Reads it from a query.
    ///
    /// # Errors
    /// When the query has anything else, or not all.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        let mut get = Self::default();
        for pair in query::pairs(text) {
            match pair? {
                ("path", path) => {
                    given(&path)?;
                    get.paths.push(path);
                }
                ("all", value) => get.all = flag("all", &value)?,
                ("follow", value) => get.follow = flag("follow", &value)?,
                (other, _) => return Err(QueryError::Unknown(other.to_owned())),
            }
        }
        match get.paths.is_empty() {
            true => Err(QueryError::Missing("path")),
            false => Ok(get),
        }
    }
}

impl OfDirectory {
    /// It as a query.
    pub fn to_query(&self) -> String {
        Query::default().add("path", &self.path).end()
    }

    /// Reads it from a query.
    ///
    /// # Errors
    /// When the query has anything else, or not all.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        let mut of = Self::default();
        for pair in query::pairs(text) {
            match pair? {
                ("path", path) => of.path = path,
                (other, _) => return Err(QueryError::Unknown(other.to_owned())),
            }
        }
        given(&of.path)?;
        Ok(of)
    }
}

/// `UID:GID` as numbers. The greatest is nobody's: to chown(2) it means that the owner stays.
pub fn ids(text: &[u8]) -> Option<(u32, u32)> {
    let (uid, gid) = std::str::from_utf8(text).ok()?.split_once(':')?;
    let id = |text: &str| text.parse().ok().filter(|&id| id != u32::MAX);
    Some((id(uid)?, id(gid)?))
}

fn given(path: &[u8]) -> Result<(), QueryError> {
    match path {
        b"" => Err(QueryError::Missing("path")),
        path if path.contains(&0) => Err(QueryError::Value("path")),
        _ => Ok(()),
    }
}

fn flag(name: &'static str, value: &[u8]) -> Result<bool, QueryError> {
    match value {
        b"true" => Ok(true),
        b"false" => Ok(false),
        _ => Err(QueryError::Value(name)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn path() -> impl Strategy<Value = Vec<u8>> {
        vec(1_u8.., 1..60)
    }

    proptest! {
        #[test]
        fn queries_have_names_of_every_byte(
            path in path(), names in vec(path(), 0..4), all: bool, owner: Option<(u32, u32)>, replace: bool,
            within: bool,
        ) {
            let put = PutFiles { path: path.clone(), names: names.clone(), all, owner, replace, within };
            prop_assert_eq!(PutFiles::parse(&put.to_query()), Ok(put));
            let get = GetFiles { paths: [vec![path.clone()], names].concat(), all, follow: replace };
            prop_assert_eq!(GetFiles::parse(&get.to_query()), Ok(get));
            let of = OfDirectory { path };
            prop_assert_eq!(OfDirectory::parse(&of.to_query()), Ok(of));
        }
    }

    #[test]
    fn queries_that_say_something_else_are_refused() {
        for bad in [
            "",
            "path=",
            "path=%00",
            "path=%2",
            "path=%+2",
            "path=/a&what=1",
            "path=/a&all=1",
            "path=/a&owner=x",
        ] {
            assert!(PutFiles::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(GetFiles::parse("all=true"), Err(QueryError::Missing("path")));
    }
}
