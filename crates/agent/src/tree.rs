//! Writing a tar into the guest. The archive comes from the host, which is trusted with the guest; what it must not do
//! is leave the directory it is meant for by accident.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, lchown, symlink};
use std::path::{Component, Path, PathBuf};

use banger_guest_api::{Failure, TreeDone, TreeQuery};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
use tar::{Archive, Entry, EntryType, Header};
use tokio::io::AsyncRead;
use tokio_util::io::SyncIoBridge;

use crate::failure::{During, refused};

/// The query of a request.
pub(crate) fn query(text: &str) -> Result<TreeQuery, Failure> {
    let mut query = TreeQuery {
        path: String::new(),
        replace: false,
        owner: None,
    };
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = decoded(value)?;
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

/// Undoes percent-encoding (RFC 3986, section 2.1).
fn decoded(text: &str) -> Result<String, Failure> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = rest.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.ok_or_else(|| refused(format!("`{text}` is not percent-encoded")))?);
        rest = &rest[2..];
    }
    String::from_utf8(bytes).during(format!("read `{text}`"))
}

/// Writes the archive `tar` below `base`.
pub(crate) async fn unpack(
    tar: impl AsyncRead + Send + Unpin + 'static,
    base: PathBuf,
    query: TreeQuery,
) -> Result<TreeDone, Failure> {
    let tar = SyncIoBridge::new(tar);
    let work = tokio::task::spawn_blocking(move || Tree::new(base, &query)?.write(tar));
    work.await
        .unwrap_or_else(|_| Err(refused("writing files panicked")))
}

struct Tree {
    base: PathBuf,
    /// Instead of the archive's owners.
    owner: Option<(u32, u32)>,
    /// Directories get their times last: writing into them changes these.
    directories: Vec<(PathBuf, Timestamps)>,
    done: TreeDone,
}

impl Tree {
    fn new(base: PathBuf, query: &TreeQuery) -> Result<Self, Failure> {
        if query.replace && base.exists() {
            std::fs::remove_dir_all(&base).during(format!("remove {}", query.path))?;
        }
        std::fs::create_dir_all(&base).during(format!("make {}", query.path))?;
        // Links on the way to it are the guest's own; those below it are not followed.
        let base = base.canonicalize().during(format!("find {}", query.path))?;
        let owner = query.owner.as_deref().map(|owner| {
            let ids = owner
                .split_once(':')
                .and_then(|(uid, gid)| Some((uid.parse().ok()?, gid.parse().ok()?)));
            ids.ok_or_else(|| refused(format!("`{owner}` is not `uid:gid`")))
        });
        Ok(Self {
            base,
            owner: owner.transpose()?,
            directories: Vec::new(),
            done: TreeDone { entries: 0, bytes: 0 },
        })
    }

    fn write(mut self, tar: impl Read) -> Result<TreeDone, Failure> {
        let mut archive = Archive::new(tar);
        for entry in archive.entries().during("read the archive")? {
            let mut entry = entry.during("read the archive")?;
            let name = entry.path_bytes().into_owned();
            let shown = String::from_utf8_lossy(&name).into_owned();
            let path = self
                .place(&name)
                .ok_or_else(|| refused(format!("`{shown}` leads out of the directory")))?;
            self.entry(&mut entry, &path).during(format!("write {shown}"))?;
            self.done.entries += 1;
        }
        for (path, times) in self.directories.iter().rev() {
            utimensat(CWD, path, times, AtFlags::SYMLINK_NOFOLLOW)
                .during(format!("set the times of {}", path.display()))?;
        }
        Ok(self.done)
    }

    /// Where an entry goes: below the base by its name, and through no symbolic link on the way.
    fn place(&self, name: &[u8]) -> Option<PathBuf> {
        let mut path = self.base.clone();
        let parts: Vec<_> = Path::new(std::ffi::OsStr::from_bytes(name))
            .components()
            .collect();
        for (index, part) in parts.iter().enumerate() {
            match part {
                Component::Normal(part) => path.push(part),
                Component::CurDir => continue,
                Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
            }
            if index + 1 < parts.len() && path.is_symlink() {
                return None;
            }
        }
        Some(path)
    }

    fn entry(&mut self, entry: &mut Entry<'_, impl Read>, path: &Path) -> io::Result<()> {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        let header = entry.header();
        let (kind, mode) = (header.entry_type(), header.mode()? & 0o7777);
        let times = times(header.mtime()?);
        let owner = self.owner(header)?;
        if kind != EntryType::Directory && path == self.base {
            return Err(io::Error::other("only a directory can be the directory itself"));
        }
        match kind {
            EntryType::Directory => {
                // It would be another directory's mode that is set.
                if path.is_symlink() {
                    std::fs::remove_file(path)?;
                }
                match std::fs::create_dir(path) {
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
                    made => made?,
                }
                own(path, owner)?;
                std::fs::set_permissions(path, PermissionsExt::from_mode(mode))?;
                self.directories.push((path.to_owned(), times));
                return Ok(());
            }
            EntryType::Symlink => {
                make_room(path)?;
                symlink(target(entry)?, path)?;
                own(path, owner)?;
            }
            EntryType::Link => {
                let existing = self.place(target(entry)?.as_os_str().as_bytes());
                make_room(path)?;
                std::fs::hard_link(existing.ok_or(io::ErrorKind::InvalidFilename)?, path)?;
                return Ok(());
            }
            EntryType::Regular | EntryType::Continuous => {
                make_room(path)?;
                let mut file = File::create_new(path)?;
                self.done.bytes += io::copy(entry, &mut file)?;
                drop(file);
                own(path, owner)?;
                std::fs::set_permissions(path, PermissionsExt::from_mode(mode))?;
            }
            other => {
                return Err(io::Error::other(format!(
                    "a workspace has no entries of kind {other:?}"
                )));
            }
        }
        Ok(utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// Whose an entry becomes. Only root can give files away; the fake guest's files are its user's.
    fn owner(&self, header: &Header) -> io::Result<Option<(u32, u32)>> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let id = |id: u64| u32::try_from(id).map_err(io::Error::other);
        let archived = || Ok::<_, io::Error>((id(header.uid()?)?, id(header.gid()?)?));
        self.owner.map_or_else(archived, Ok).map(Some)
    }
}

fn own(path: &Path, owner: Option<(u32, u32)>) -> io::Result<()> {
    owner.map_or(Ok(()), |(uid, gid)| lchown(path, Some(uid), Some(gid)))
}

fn target(entry: &Entry<'_, impl Read>) -> io::Result<PathBuf> {
    let target = entry
        .link_name()?
        .ok_or_else(|| io::Error::other("a link without a target"))?;
    Ok(target.into_owned())
}

/// What is in the way of a new file goes: the archive says how it shall be.
fn make_room(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => std::fs::remove_dir_all(path),
        Ok(_) => std::fs::remove_file(path),
        Err(_) => Ok(()),
    }
}

fn times(mtime: u64) -> Timestamps {
    let time = Timespec {
        tv_sec: i64::try_from(mtime).unwrap_or_default(),
        tv_nsec: 0,
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(names: &[(&str, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, content) in names {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o640);
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(1_000_000_000);
            // By hand, because the crate refuses to write names that this must refuse to read.
            header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_cksum();
            builder.append(&header, *content).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn write(base: &Path, tar: &[u8]) -> Result<TreeDone, Failure> {
        let query = TreeQuery {
            path: "/x".to_owned(),
            replace: false,
            owner: None,
        };
        Tree::new(base.to_owned(), &query)?.write(tar)
    }

    #[test]
    fn files_come_with_their_parents_modes_and_times() {
        let dir = tempfile::tempdir().unwrap();
        let done = write(dir.path(), &archive(&[("a/b/c", b"hello")])).unwrap();
        assert_eq!((done.entries, done.bytes), (1, 5));
        let metadata = std::fs::metadata(dir.path().join("a/b/c")).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o7777, 0o640);
        let age = metadata
            .modified()
            .unwrap()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap();
        assert_eq!(age.as_secs(), 1_000_000_000);
    }

    #[test]
    fn nothing_leads_out_of_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/tmp", dir.path().join("link")).unwrap();
        for name in ["../x", "/etc/x", "a/../../x", "link/x"] {
            assert!(write(dir.path(), &archive(&[(name, b"")])).is_err(), "{name}");
        }
    }

    fn one(name: &str, kind: EntryType, mode: u32, owner: (u64, u64)) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(0);
        header.set_mode(mode);
        header.set_uid(owner.0);
        header.set_gid(owner.1);
        header.set_mtime(1_000_000_000);
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        builder.append(&header, &[][..]).unwrap();
        builder.into_inner().unwrap()
    }

    #[test]
    fn a_directory_takes_the_place_of_a_link_and_leaves_its_target_alone() {
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::set_permissions(other.path(), PermissionsExt::from_mode(0o700)).unwrap();
        symlink(other.path(), dir.path().join("link")).unwrap();
        write(dir.path(), &one("link", EntryType::Directory, 0o777, (0, 0))).unwrap();
        let mode = std::fs::metadata(other.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o700);
        assert!(!dir.path().join("link").is_symlink());
    }

    #[test]
    fn the_directory_itself_stays_one() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("kept"), "").unwrap();
        assert!(write(dir.path(), &one(".", EntryType::Regular, 0o644, (0, 0))).is_err());
        assert!(dir.path().join("kept").exists());
    }

    #[test]
    fn root_gives_files_to_the_archives_owners() {
        use std::os::unix::fs::MetadataExt;
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &one("file", EntryType::Regular, 0o644, (12, 34))).unwrap();
        let ours = std::fs::metadata(dir.path()).unwrap();
        let root = rustix::process::geteuid().is_root();
        let expected = if root { (12, 34) } else { (ours.uid(), ours.gid()) };
        let file = std::fs::metadata(dir.path().join("file")).unwrap();
        assert_eq!((file.uid(), file.gid()), expected);
    }

    #[test]
    fn a_query_is_decoded_and_checked() {
        assert_eq!(query("path=/root/a%20b&owner=0:0").unwrap().path, "/root/a b");
        for bad in ["path=root", "path=/a/../b", "path=/a&what=1", "path=/%2"] {
            assert!(query(bad).is_err(), "{bad}");
        }
    }
}
