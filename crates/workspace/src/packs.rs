//! What came, moved into the user's objects: whole packs, whose names appear when they are whole.
//!
//! git would write them there as files `tmp_pack_…`, which stay where git dies with its daemon, and nobody knows whose they are. So a
//! pack is made in the quarantine, and before anything of it appears in the user's repository a note in the quarantine says what
//! will. A daemon that finds the note of one that died ([`take_back`]) removes what is of no use without the rest: git reads no pack
//! without its index, which comes last.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use banger_git::Git;
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use crate::error::Error;

const WHAT: &str = "pack the received objects";
/// The note, in the quarantine: where packs are placed, and their files, in their order.
const NOTE: &str = "placed";
/// What the name of a copy ends with that is not whole.
const PART: &str = "banger";

/// The packs of a quarantine.
#[derive(Debug)]
pub(crate) struct Packs {
    made: PathBuf,
    note: PathBuf,
    files: Vec<String>,
}

impl Packs {
    /// Packs all that belongs to `tips` and not to `known`. `git` is that of the quarantine, whose directory is `dir`.
    pub(crate) fn make(git: &Git, dir: &Path, tips: &[String], known: &[String]) -> Result<Self, Error> {
        let (made, note) = (dir.join("packs"), dir.join(NOTE));
        fs::create_dir(&made).map_err(|error| Error::file("create", &made, error))?;
        let lines = |names: &[String]| -> String { names.iter().map(|name| format!("{name}\n")).collect() };
        let input = format!("{}--not\n{}", lines(tips), lines(known));
        let options = [
            "pack-objects",
            "--quiet",
            "--revs",
            "--non-empty",
            "--delta-base-offset",
        ];
        let mut args = options.map(OsStr::new).to_vec();
        let base = made.join("pack");
        args.push(base.as_os_str());
        git.feed(WHAT, args, input.as_bytes())?;
        let listed = || -> io::Result<Vec<String>> {
            let entries = fs::read_dir(&made)?.collect::<io::Result<Vec<_>>>()?;
            let names = entries.iter().map(|entry| entry.file_name());
            Ok(names.filter_map(|name| name.into_string().ok()).collect())
        };
        let mut files = listed().map_err(|error| Error::file("read", &made, error))?;
        files.sort_by_key(|name| name.ends_with(".idx"));
        Ok(Self { made, note, files })
    }

    /// Gives them names in `objects`, the user's. Those that are there already are the same.
    pub(crate) fn place(&self, objects: &Path) -> Result<(), Error> {
        let dir = objects.join("pack");
        self.announce(&dir)?;
        let failed = |error: Errno| Error::file("open", &dir, error.into());
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let into = match rustix::fs::open(&dir, flags, Mode::empty()) {
            Err(Errno::NOENT) => {
                fs::create_dir(&dir).map_err(|error| Error::file("create", &dir, error))?;
                rustix::fs::open(&dir, flags, Mode::empty()).map_err(failed)?
            }
            opened => opened.map_err(failed)?,
        };
        for name in &self.files {
            place(&self.made.join(name), &into, name)
                .map_err(|error| Error::file("write", &dir.join(name), error))?;
        }
        fs::remove_file(&self.note).map_err(|error| Error::file("remove", &self.note, error))
    }

    /// Notes what will appear in `dir`.
    fn announce(&self, dir: &Path) -> Result<(), Error> {
        let mut note = dir.as_os_str().as_bytes().to_vec();
        for name in &self.files {
            note.push(0);
            note.extend_from_slice(name.as_bytes());
        }
        // Half a note would be no note, or one of fewer files.
        let part = self.note.with_extension(PART);
        fs::write(&part, note)
            .and_then(|()| fs::rename(&part, &self.note))
            .map_err(|error| Error::file("write", &self.note, error))
    }
}

/// Gives a whole file a name in a directory, at once; where that is on another file system, a copy of it.
fn place(file: &Path, dir: &OwnedFd, name: &str) -> io::Result<()> {
    match rustix::fs::linkat(rustix::fs::CWD, file, dir, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(Errno::XDEV | Errno::PERM | Errno::OPNOTSUPP | Errno::MLINK) => copy(file, dir, name),
        Err(error) => Err(error.into()),
    }
}

fn copy(file: &Path, dir: &OwnedFd, name: &str) -> io::Result<()> {
    let part = format!("{name}.{PART}");
    // Of a daemon that died, at another time.
    let _ = rustix::fs::unlinkat(dir, &part, AtFlags::empty());
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    // As git makes them: nobody writes to a pack.
    let mut to = File::from(rustix::fs::openat(dir, &part, flags, Mode::from_raw_mode(0o444))?);
    let copied = File::open(file)
        .and_then(|mut from| io::copy(&mut from, &mut to))
        .and_then(|_| to.sync_all())
        .and_then(|()| Ok(rustix::fs::renameat(dir, &part, dir, name)?));
    if copied.is_err() {
        let _ = rustix::fs::unlinkat(dir, &part, AtFlags::empty());
    }
    copied
}

/// Removes what a daemon that died left half placed from the quarantine `dir`.
pub(crate) fn take_back(dir: &Path) {
    let Ok(note) = fs::read(dir.join(NOTE)) else {
        return;
    };
    let mut words = note
        .split(|&byte| byte == 0)
        .map(|word| Path::new(OsStr::from_bytes(word)));
    let Some(packs) = words.next() else { return };
    let remove = |path: &Path| match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(%error, path = %path.display(), "could not remove what a daemon left");
        }
        _ => {}
    };
    for name in words {
        let file = packs.join(name);
        let mut part = file.clone().into_os_string();
        part.push(".");
        part.push(PART);
        remove(Path::new(&part));
        if !file.with_extension("idx").exists() {
            remove(&file);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILES: [&str; 3] = ["pack-1.pack", "pack-1.rev", "pack-1.idx"];

    /// A quarantine with packs, and the objects of a user who has another one of which only the half is there yet.
    fn quarantine() -> (tempfile::TempDir, PathBuf, Packs) {
        let dir = tempfile::tempdir().unwrap();
        let objects = dir.path().join("objects");
        fs::create_dir_all(objects.join("pack")).unwrap();
        for name in ["tmp_pack_of_git", "pack-2.pack"] {
            fs::write(objects.join("pack").join(name), "the user's").unwrap();
        }
        let made = dir.path().join("scratch/quarantine-1/packs");
        fs::create_dir_all(&made).unwrap();
        for name in FILES {
            fs::write(made.join(name), name).unwrap();
        }
        let packs = Packs {
            note: made.with_file_name(NOTE),
            made,
            files: FILES.map(str::to_owned).to_vec(),
        };
        (dir, objects, packs)
    }

    fn left(objects: &Path) -> Vec<String> {
        let entries = fs::read_dir(objects.join("pack")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names
            .filter(|name| !["tmp_pack_of_git", "pack-2.pack"].contains(&&**name))
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_daemon_that_dies_after_any_file_leaves_all_of_a_pack_or_nothing() {
        for is_copied in [false, true] {
            for placed in 0..=FILES.len() {
                let (dir, objects, packs) = quarantine();
                let into = File::open(objects.join("pack")).unwrap().into();
                packs.announce(&objects.join("pack")).unwrap();
                for (number, name) in FILES.iter().enumerate().take(placed + 1) {
                    let file = packs.made.join(name);
                    match number < placed {
                        true if is_copied => copy(&file, &into, name).unwrap(),
                        true => place(&file, &into, name).unwrap(),
                        // In the middle of this one.
                        false if is_copied => {
                            fs::write(objects.join(format!("pack/{name}.{PART}")), "half").unwrap();
                        }
                        false => {}
                    }
                }
                crate::clear(&dir.path().join("scratch"));
                let whole = match placed == FILES.len() {
                    true => vec!["pack-1.idx", "pack-1.pack", "pack-1.rev"],
                    false => vec![],
                };
                assert_eq!(left(&objects), whole, "{placed} files, copied: {is_copied}");
                assert!(!packs.made.exists());
                assert!(
                    objects.join("pack/tmp_pack_of_git").exists()
                        && objects.join("pack/pack-2.pack").exists()
                );
            }
        }
    }

    #[test]
    fn packs_are_placed_once_or_twice_and_no_note_is_left() {
        let (_dir, objects, packs) = quarantine();
        for _ in 0..2 {
            packs.place(&objects).unwrap();
            assert_eq!(left(&objects), ["pack-1.idx", "pack-1.pack", "pack-1.rev"]);
            assert!(!packs.note.exists());
        }
    }
}
