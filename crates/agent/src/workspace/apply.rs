//! Changing a workspace as a stream says.

use std::fs::{File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use banger_guest_api::workspace_files::{Head, Kind, read_chunk, read_tag};
use banger_guest_api::{Failure, FilesDone};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};

use super::manifest::{GitState, Journal, Look};
use super::{OWN_DIR, below, in_the_way};
use crate::failure::{During, refused};

/// Longer than any target of a symbolic link (symlink(7)).
const MAX_TARGET: usize = 4096;

/// Applies the stream `entries` to the workspace at `base`.
pub(crate) fn apply(entries: impl Read, base: &Path) -> Result<FilesDone, Failure> {
    Work::begin(base)?.run(entries)
}

pub(super) struct Work {
    base: PathBuf,
    /// A file that becomes one of the workspace when it is whole.
    spare: PathBuf,
    journal: Journal,
    /// Directories get their modes and times last: writing into them changes these.
    directories: Vec<(PathBuf, Head)>,
    chunk: Vec<u8>,
    placed: FilesDone,
}

impl Work {
    pub(super) fn begin(base: &Path) -> Result<Self, Failure> {
        let made = || {
            std::fs::create_dir_all(base)?;
            // Links on the way to it are the guest's own; those below it are not followed.
            let base = base.canonicalize()?;
            let journal = Journal::open(&base)?;
            Ok::<_, io::Error>((base, journal))
        };
        let (base, journal) = made().during(format!("create {}", base.display()))?;
        Ok(Self {
            spare: base.join(OWN_DIR).join("spare"),
            base,
            journal,
            directories: Vec::new(),
            chunk: Vec::new(),
            placed: FilesDone::default(),
        })
    }

    pub(super) fn run(mut self, mut from: impl Read) -> Result<FilesDone, Failure> {
        loop {
            let head = Head::read(&mut from).during("read the next entry of the workspace")?;
            let shown = String::from_utf8_lossy(&head.path).into_owned();
            if head.kind == Kind::End {
                self.end(shown).during("finish the workspace")?;
                return Ok(self.placed);
            }
            let is_own = matches!(head.kind, Kind::Own | Kind::RemoveOwn);
            let path = below(&self.base, &head.path)
                .filter(|_| is_own == head.path.starts_with(b".git/") && head.path != b".git")
                .ok_or_else(|| refused(format!("`{shown}` is not a path in a workspace")))?;
            self.entry(&head, &path, &mut from)
                .during(format!("write {shown}"))?;
            self.placed.entries += 1;
        }
    }

    fn entry(&mut self, head: &Head, path: &Path, from: &mut impl Read) -> io::Result<()> {
        match head.kind {
            Kind::File | Kind::Own => self.spare_file(head, from)?,
            Kind::Symlink => self.spare_link(head, from)?,
            Kind::Directory | Kind::Remove | Kind::RemoveOwn | Kind::End => self.skip(from)?,
        }
        let tag = read_tag(from)?;
        match head.kind {
            Kind::File | Kind::Symlink => {
                self.make_way(path)?;
                self.journal.writing(&head.path)?;
                std::fs::rename(&self.spare, path)?;
                let look = Look::of(&std::fs::symlink_metadata(path)?);
                self.journal.written(&head.path, tag, look)
            }
            Kind::Own => {
                self.make_way(path)?;
                std::fs::rename(&self.spare, path)?;
                if is_state(&head.path) {
                    // Ours from now on, also when the rest does not come.
                    self.journal.end(String::new(), GitState::now(&self.base))?;
                }
                Ok(())
            }
            Kind::Directory => {
                self.make_way(&path.join("file"))?;
                self.directories.push((path.to_owned(), head.clone()));
                Ok(())
            }
            Kind::Remove => {
                self.remove(path)?;
                self.journal.gone(&head.path)
            }
            Kind::RemoveOwn => remove_file(path),
            Kind::End => Ok(()),
        }
    }

    fn spare_file(&mut self, head: &Head, from: &mut impl Read) -> io::Result<()> {
        remove_file(&self.spare)?;
        let mut file = File::create_new(&self.spare)?;
        while let Some(chunk) = read_chunk(from, &mut self.chunk)? {
            file.write_all(chunk)?;
            self.placed.bytes += chunk.len() as u64;
        }
        file.set_permissions(Permissions::from_mode(head.mode & 0o7777))?;
        drop(file);
        set_times(&self.spare, head)
    }

    fn spare_link(&mut self, head: &Head, from: &mut impl Read) -> io::Result<()> {
        let mut target = Vec::new();
        while let Some(chunk) = read_chunk(from, &mut self.chunk)? {
            target.extend_from_slice(chunk);
            if target.len() > MAX_TARGET {
                return Err(io::ErrorKind::InvalidFilename.into());
            }
        }
        remove_file(&self.spare)?;
        symlink(std::ffi::OsStr::from_bytes(&target), &self.spare)?;
        set_times(&self.spare, head)
    }

    fn skip(&mut self, from: &mut impl Read) -> io::Result<()> {
        while read_chunk(from, &mut self.chunk)?.is_some() {}
        Ok(())
    }

    /// Makes the directories on the way to `path`. A directory in its place goes when it is empty.
    fn make_way(&self, path: &Path) -> io::Result<()> {
        if let Some(other) = in_the_way(&self.base, path) {
            let what = format!("{} is not a directory", other.display());
            return Err(io::Error::new(io::ErrorKind::NotADirectory, what));
        }
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        match std::fs::symlink_metadata(path) {
            Ok(metadata) if metadata.is_dir() => std::fs::remove_dir(path),
            _ => Ok(()),
        }
    }

    /// Removes a file, and the directories above it that are empty then.
    fn remove(&self, path: &Path) -> io::Result<()> {
        if in_the_way(&self.base, path).is_some() {
            return Ok(());
        }
        remove_file(path)?;
        for dir in path.ancestors().skip(1).take_while(|dir| *dir != self.base) {
            if std::fs::remove_dir(dir).is_err() {
                break;
            }
        }
        Ok(())
    }

    fn end(&mut self, generation: String) -> io::Result<()> {
        // The deepest first: a directory that cannot be written to would keep what is below it from being set.
        self.directories.sort_by(|(a, _), (b, _)| b.cmp(a));
        for (path, head) in &self.directories {
            std::fs::set_permissions(path, Permissions::from_mode(head.mode & 0o7777))?;
            set_times(path, head)?;
        }
        self.journal.end(generation, GitState::now(&self.base))
    }
}

/// Whether a file is one by which it is seen that the guest did something in its repository.
fn is_state(path: &[u8]) -> bool {
    path == b".git/HEAD" || path == b".git/index" || path.starts_with(b".git/refs/heads/")
}

fn set_times(path: &Path, head: &Head) -> io::Result<()> {
    let time = Timespec {
        tv_sec: head.mtime,
        tv_nsec: head.mtime_ns.into(),
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    Ok(utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

fn remove_file(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(())
        }
        // A directory is what the guest put there.
        Err(error) if error.kind() == io::ErrorKind::IsADirectory => Ok(()),
        removed => removed,
    }
}
