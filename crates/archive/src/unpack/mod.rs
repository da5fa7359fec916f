//! An archive as files, below one directory and never outside it.
//!
//! Whoever wrote the archive is not trusted: a guest's may be hostile. Every name is followed part by part from the
//! directory, through no symbolic link, not even one of the directory's own; `..` and absolute names are refused. A file
//! is written without a name, or under a name of its own, and gets its name when it is whole. Unless all shall be kept as
//! it is, nothing becomes set-user-id, a device or another owner's.
//!
//! ```text
//!   entries ──> names: expected? renamed? ──> place: the open directories down to it ──> file: made, named
//! ```

mod destination;
mod dir;
mod fresh;
mod place;
mod remove;

use std::io::{self, Read};

use banger_inode::{DeviceKind, Meta};
use rustix::fs::{AtFlags, FileType, Gid, Mode, Timespec, Timestamps, UTIME_OMIT, Uid};
use rustix::io::Errno;

use crate::{Entry, EntryKind, Error, attributes, read, shown};

pub use self::destination::{Destination, DestinationError};
use self::fresh::Fresh;
use self::place::Place;
pub use self::remove::remove;

/// How files are made of an archive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unpacking {
    /// Keep owners, set-id bits, every attribute, devices and named pipes.
    pub all: bool,
    /// Give everything to this user and group.
    pub owner: Option<(u32, u32)>,
    /// What is in the way of an entry of another kind goes.
    pub replace: bool,
    /// The only names that may be at the top; any when empty.
    pub tops: Vec<Vec<u8>>,
    /// What the one at the top is called instead.
    pub rename: Option<Vec<u8>>,
    /// The one at the top must be a directory.
    pub directory: bool,
}

/// What was made.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Unpacked {
    /// Entries.
    pub entries: u64,
    /// Bytes of file content, without holes.
    pub bytes: u64,
    /// What was not done, and why: a line for each.
    pub notes: Vec<String>,
}

/// An archive could not be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// It is damaged or truncated.
    #[error(transparent)]
    Archive(#[from] Error),
    /// An entry's name is absolute, has `..` in it, or is too deep.
    #[error("`{0}` leads out of the directory, or too deep")]
    Outside(String),
    /// An entry that was not asked for.
    #[error("the archive has `{0}`, which was not asked for")]
    Unasked(String),
    /// A part of an entry's name is a symbolic link, or no directory.
    #[error("`{entry}` cannot be written: `{part}` is a symbolic link or no directory")]
    Through {
        /// The entry.
        entry: String,
        /// The part.
        part: String,
    },
    /// A file where a directory was wanted.
    #[error("`{0}` is no directory")]
    NoDirectory(String),
    /// A file.
    #[error("{what} `{entry}`")]
    File {
        /// What was done.
        what: &'static str,
        /// For which entry.
        entry: String,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

/// A failure to do `what` for an entry.
fn failed<'a>(what: &'static str, entry: &'a [u8]) -> impl Fn(Errno) -> UnpackError + 'a {
    move |source| UnpackError::File {
        what,
        entry: shown(entry),
        source: source.into(),
    }
}

/// Unpacks the archive `tar` at a destination. `told` gets the bytes of content so far.
///
/// # Errors
/// When the archive is no good, leads out, or files cannot be made; what was made before stays, each file whole.
pub fn unpack(
    tar: impl Read,
    to: Destination,
    unpacking: &Unpacking,
    told: &mut dyn FnMut(u64),
) -> Result<Unpacked, UnpackError> {
    let mut work = Work {
        place: Place::new(to, unpacking),
        unpacking,
        is_root: rustix::process::geteuid().is_root(),
        done: Unpacked::default(),
        buffer: vec![0; 256 << 10].into(),
        told,
    };
    read(tar, &mut |entry, content| work.entry(entry, content))?;
    work.leave_all()?;
    Ok(work.done)
}

struct Work<'a> {
    place: Place,
    unpacking: &'a Unpacking,
    is_root: bool,
    done: Unpacked,
    buffer: Box<[u8]>,
    told: &'a mut dyn FnMut(u64),
}

impl Work<'_> {
    fn entry(&mut self, entry: Entry, content: &mut dyn Read) -> Result<(), UnpackError> {
        let name = inside(self.unpacking, &entry.name)?;
        let Entry { meta, kind, .. } = entry;
        self.done.entries += 1;
        let Some((last, above)) = name.split_last() else {
            return match kind {
                EntryKind::Directory => {
                    self.place.top(meta);
                    Ok(())
                }
                _ => Err(UnpackError::NoDirectory(".".to_owned())),
            };
        };
        if self.unpacking.directory && above.is_empty() && kind != EntryKind::Directory {
            return Err(UnpackError::NoDirectory(shown(last)));
        }
        let full = name.join(&b'/');
        for (at, meta) in self.place.enter(above)? {
            self.directory_meta(&at, &meta)?;
        }
        match kind {
            EntryKind::Directory => self.place.directory(last, meta),
            EntryKind::File { size, segments } => {
                let mut fresh = Fresh::new(self.place.here(), &full)?;
                for segment in &segments {
                    self.done.bytes += fresh.fill(*segment, content, &mut self.buffer, &full)?;
                    (self.told)(self.done.bytes);
                }
                fresh.end(size, &full)?;
                self.file_meta(fresh.file(), &meta, &full)?;
                fresh.name(last, self.unpacking.replace, &full)
            }
            EntryKind::Symlink(target) => {
                let made = self.place.node(&full, |dir, name| {
                    rustix::fs::symlinkat(target.as_slice(), dir, name)
                })?;
                self.node_meta(&made, &meta, &full)?;
                self.place.put(made, last, &full)
            }
            EntryKind::HardLink(existing) => {
                let existing = inside(self.unpacking, &existing)?;
                let Some((file, above)) = existing.split_last() else {
                    return Err(UnpackError::Outside(shown(&full)));
                };
                let dir = self.place.open(above)?;
                let made = self.place.node(&full, |to, name| {
                    rustix::fs::linkat(&dir, *file, to, name, AtFlags::empty())
                })?;
                self.place.put(made, last, &full)
            }
            EntryKind::Fifo => self.special(last, &full, FileType::Fifo, 0, &meta),
            EntryKind::Device { kind, major, minor } => {
                let kind = match kind {
                    DeviceKind::Char => FileType::CharacterDevice,
                    DeviceKind::Block => FileType::BlockDevice,
                };
                self.special(last, &full, kind, rustix::fs::makedev(major, minor), &meta)
            }
        }
    }

    fn special(
        &mut self,
        last: &[u8],
        full: &[u8],
        kind: FileType,
        device: u64,
        meta: &Meta,
    ) -> Result<(), UnpackError> {
        if !self.unpacking.all {
            self.note(format!(
                "{} was left out: it is a device or a named pipe, which -a copies",
                shown(full)
            ));
            return Ok(());
        }
        let made = self.place.node(full, |dir, name| {
            rustix::fs::mknodat(dir, name, kind, Mode::from_raw_mode(0o600), device)
        })?;
        self.node_meta(&made, meta, full)?;
        let mode = Mode::from_raw_mode(self.mode(meta));
        rustix::fs::chmodat(&made.dir, made.name.as_slice(), mode, AtFlags::empty())
            .map_err(failed("set the mode of", full))?;
        self.place.put(made, last, full)
    }

    fn mode(&self, meta: &Meta) -> u32 {
        u32::from(meta.mode) & if self.unpacking.all { 0o7777 } else { 0o777 }
    }

    /// Whose an entry becomes; nothing is whoever we are.
    fn owner(&self, meta: &Meta) -> Option<(Uid, Gid)> {
        let archived = self.unpacking.all.then_some((meta.uid, meta.gid));
        let (uid, gid) = self.unpacking.owner.or(archived)?;
        // Only root can give files away. Someone else's copy is their own, as with every program that copies.
        let may = self.is_root || self.unpacking.owner.is_some();
        may.then(|| (Uid::from_raw(uid), Gid::from_raw(gid)))
    }

    fn file_meta(&mut self, file: &std::fs::File, meta: &Meta, full: &[u8]) -> Result<(), UnpackError> {
        if let Some((uid, gid)) = self.owner(meta) {
            rustix::fs::fchown(file, Some(uid), Some(gid)).map_err(failed("set the owner of", full))?;
        }
        // After the owner, which a change of takes capabilities and set-id bits away.
        for xattr in meta
            .xattrs
            .iter()
            .filter(|xattr| attributes::goes(&xattr.name, self.unpacking.all))
        {
            let set = attributes::set(file, xattr).map_err(|source| UnpackError::File {
                what: "set an attribute of",
                entry: shown(full),
                source,
            })?;
            if !set {
                self.note(format!(
                    "{} has no `{}`: it is not allowed here",
                    shown(full),
                    shown(&xattr.name)
                ));
            }
        }
        rustix::fs::fchmod(file, Mode::from_raw_mode(self.mode(meta)))
            .map_err(failed("set the mode of", full))?;
        rustix::fs::futimens(file, &times(meta)).map_err(failed("set the time of", full))
    }

    fn directory_meta(&mut self, at: &place::Left, meta: &Meta) -> Result<(), UnpackError> {
        self.file_meta(&at.dir, meta, &at.name)
    }

    fn node_meta(&self, made: &place::Made, meta: &Meta, full: &[u8]) -> Result<(), UnpackError> {
        let name = made.name.as_slice();
        if let Some((uid, gid)) = self.owner(meta) {
            rustix::fs::chownat(&made.dir, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
                .map_err(failed("set the owner of", full))?;
        }
        rustix::fs::utimensat(&made.dir, name, &times(meta), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(failed("set the time of", full))
    }

    fn leave_all(&mut self) -> Result<(), UnpackError> {
        for (at, meta) in self.place.leave() {
            self.directory_meta(&at, &meta)?;
        }
        Ok(())
    }

    fn note(&mut self, note: String) {
        // As many as someone would read, whatever the archive has.
        if self.done.notes.len() < 100 {
            self.done.notes.push(note);
        }
    }
}

/// The parts of an entry's name, as they are on this side.
fn inside<'n>(unpacking: &'n Unpacking, name: &'n [u8]) -> Result<Vec<&'n [u8]>, UnpackError> {
    let outside = || UnpackError::Outside(shown(name));
    if name.starts_with(b"/") || name.len() > place::LONGEST {
        return Err(outside());
    }
    let mut parts: Vec<&[u8]> = name
        .split(|&byte| byte == b'/')
        .filter(|part| !matches!(*part, b"" | b"."))
        .collect();
    if parts.contains(&&b".."[..]) || parts.len() > place::DEEPEST || name.contains(&0) {
        return Err(outside());
    }
    let tops = &unpacking.tops;
    if !tops.is_empty()
        && !parts
            .first()
            .is_some_and(|top| tops.iter().any(|asked| asked == top))
    {
        return Err(UnpackError::Unasked(shown(name)));
    }
    if let (Some(top), Some(renamed)) = (parts.first_mut(), &unpacking.rename) {
        *top = renamed;
    }
    Ok(parts)
}

fn times(meta: &Meta) -> Timestamps {
    Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
        last_modification: Timespec {
            tv_sec: meta.mtime.secs,
            tv_nsec: i64::from(meta.mtime.nanos),
        },
    }
}
