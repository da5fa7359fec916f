//! Whose a workspace is: the user that the VM's commands run as. What is written to it is written with that user's rights, so
//! that no link that the user put there leads root anywhere.

use std::fs::{DirBuilder, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::path::Path;

use banger_guest_api::{Failure, FilesDone};
use rustix::process::{Gid, Uid};

use super::apply::apply;
use crate::exec::account::Account;
use crate::failure::{During, refused};

/// The permission to go through a directory, which others need to reach what is theirs below it.
const SEARCH: u32 = 0o111;

/// Applies the stream `entries` to the workspace at `base`, as its `owner`; as who we are when there is none.
pub(crate) fn apply_as(
    owner: Option<&Account>,
    entries: impl Read + Send,
    base: &Path,
) -> Result<FilesDone, Failure> {
    let Some(owner) = owner.filter(|owner| owner.uid != 0) else {
        return apply(entries, base);
    };
    let shown = base.display();
    make(base, owner).during(format!("create {shown} for {}", owner.name))?;
    // A thread of its own: who becomes a user is not root again.
    std::thread::scope(|scope| {
        let work = scope.spawn(|| {
            become_thread(owner).during(format!("become {}", owner.name))?;
            apply(entries, base)
        });
        work.join()
            .unwrap_or_else(|_| Err(refused("writing a workspace panicked")))
    })
}

/// Makes the workspace's directory and those above it. It becomes the owner's when it is new or empty, and the owner can get
/// there.
fn make(base: &Path, owner: &Account) -> io::Result<()> {
    if let Some(parent) = base.parent() {
        DirBuilder::new().recursive(true).mode(0o755).create(parent)?;
    }
    match DirBuilder::new().mode(0o755).create(base) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => made?,
    }
    let base = base.canonicalize()?;
    if std::fs::read_dir(&base)?.next().is_none() {
        chown(&base, Some(owner.uid), Some(owner.gid))?;
    }
    for above in base.ancestors().skip(1) {
        let metadata = above.metadata()?;
        let mode = metadata.permissions().mode();
        if mode & SEARCH != SEARCH && metadata.uid() == 0 {
            std::fs::set_permissions(above, Permissions::from_mode((mode & 0o7777) | SEARCH))?;
        }
    }
    Ok(())
}

/// Makes this thread the user's, for good.
fn become_thread(owner: &Account) -> io::Result<()> {
    let groups: Vec<_> = owner.groups.iter().copied().map(Gid::from_raw).collect();
    rustix::thread::set_thread_groups(&groups)?;
    rustix::thread::set_thread_gid(Gid::from_raw(owner.gid))?;
    Ok(rustix::thread::set_thread_uid(Uid::from_raw(owner.uid))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use banger_guest_api::workspace_files::{Head, Kind, chunk_header, tail};

    fn nobody() -> Account {
        Account {
            name: "nobody".to_owned(),
            uid: 65534,
            gid: 65533,
            groups: vec![65533],
            home: "/".to_owned(),
            shell: None,
        }
    }

    fn one_file(name: &[u8]) -> Vec<u8> {
        let head = Head {
            kind: Kind::File,
            path: name.to_owned(),
            mode: 0o644,
            mtime: 7,
            mtime_ns: 0,
        };
        let mut bytes = head.encoded();
        bytes.extend_from_slice(&chunk_header(b"text"));
        bytes.extend_from_slice(b"text");
        bytes.extend_from_slice(&tail("tag"));
        bytes.extend_from_slice(&Head::bare(Kind::End, b"generation".to_vec()).encoded());
        bytes.extend_from_slice(&tail(""));
        bytes
    }

    /// Whoever runs these is root: only root can be another user. `make test` runs them where it is.
    mod needs_root {
        use super::*;

        #[test]
        #[ignore = "needs root"]
        fn a_workspace_is_its_users_below_a_closed_home() {
            let dir = tempfile::tempdir().unwrap();
            let base = dir.path().join("root/repo");
            std::fs::create_dir(dir.path().join("root")).unwrap();
            std::fs::set_permissions(dir.path().join("root"), Permissions::from_mode(0o700)).unwrap();
            apply_as(Some(&nobody()), &one_file(b"a/b")[..], &base).unwrap();
            for path in ["", "a", "a/b", ".git/banger"] {
                let metadata = base.join(path).metadata().unwrap();
                assert_eq!((metadata.uid(), metadata.gid()), (65534, 65533), "{path}");
            }
            let mode = dir.path().join("root").metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o7777, 0o711);
        }

        #[test]
        #[ignore = "needs root"]
        fn a_link_of_the_users_leads_root_nowhere() {
            let dir = tempfile::tempdir().unwrap();
            let (base, roots) = (dir.path().join("repo"), dir.path().join("roots"));
            std::fs::create_dir(&roots).unwrap();
            apply_as(Some(&nobody()), &one_file(b"a")[..], &base).unwrap();
            std::fs::remove_dir_all(base.join(".git/banger")).unwrap();
            std::os::unix::fs::symlink(&roots, base.join(".git/banger")).unwrap();
            apply_as(Some(&nobody()), &one_file(b"a")[..], &base).unwrap_err();
            assert_eq!(std::fs::read_dir(&roots).unwrap().count(), 0);
            banger_cases::refused("guest-users", "workspace.link-to-roots");
        }
    }
}
