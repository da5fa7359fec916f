//! Writing a tar into the guest: a directory as the archive says. The archive comes from the host, which is trusted with the
//! guest; what it must not do is leave the directory it is meant for by accident.

use std::path::{Component, Path, PathBuf};

use banger_archive::unpack::{Destination, Unpacking, unpack};
use banger_guest_api::query::decoded;
use banger_guest_api::{Failure, TreeDone, TreeQuery, files};

use crate::failure::{During, refused};
use crate::files::Chunks;

/// The query of a request.
pub(crate) fn query(text: &str) -> Result<TreeQuery, Failure> {
    let mut query = TreeQuery {
        path: String::new(),
        replace: false,
        owner: None,
    };
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = decoded(value).and_then(|value| String::from_utf8(value).ok());
        let value = value.ok_or_else(|| refused(format!("`{pair}` is not percent-encoded text")))?;
        match name {
            "path" => query.path = value,
            "replace" => query.replace = value == "true",
            "owner" => query.owner = Some(value),
            _ => return Err(refused(format!("a tree has no `{name}`"))),
        }
    }
    let path = Path::new(&query.path);
    if !path.is_absolute() || path.components().any(|part| part == Component::ParentDir) {
        return Err(refused(format!("`{}` is not an absolute path", query.path)));
    }
    Ok(query)
}

/// Writes the archive `tar` below `base`.
pub(crate) async fn write(tar: Chunks, base: PathBuf, query: TreeQuery) -> Result<TreeDone, Failure> {
    let work = tokio::task::spawn_blocking(move || {
        let owner = query.owner.as_deref().map(|owner| {
            let ids = files::ids(owner.as_bytes());
            ids.ok_or_else(|| refused(format!("`{owner}` is not `uid:gid`")))
        });
        if query.replace && base.exists() {
            std::fs::remove_dir_all(&base).during(format!("remove {}", query.path))?;
        }
        let unpacking = Unpacking {
            all: true,
            owner: owner.transpose()?,
            replace: true,
            ..Unpacking::default()
        };
        let to = Destination::directory(&base).during(format!("make {}", query.path))?;
        let done = unpack(tar, to, &unpacking, &mut |_| {}).during("write files")?;
        Ok(TreeDone {
            entries: done.entries,
            bytes: done.bytes,
        })
    });
    work.await
        .unwrap_or_else(|_| Err(refused("writing files panicked")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_decoded_and_checked() {
        assert_eq!(query("path=/root/a%20b&owner=0:0").unwrap().path, "/root/a b");
        for bad in ["path=root", "path=/a/../b", "path=/a&what=1", "path=/%2"] {
            assert!(query(bad).is_err(), "{bad}");
        }
    }
}
