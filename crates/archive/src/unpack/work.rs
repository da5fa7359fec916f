//! One archive's entries, each put below the destination.

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;

use banger_hostfs::{Error as HostError, Fresh, Kind, Reserve};
use banger_inode::{DeviceKind, Meta, Segment};
use rustix::fs::{FileType, Gid, Mode, Timespec, Timestamps, UTIME_OMIT, Uid};
use rustix::io::Errno;

use super::destination::Destination;
use super::error::{UnpackError, hosted};
use super::fresh;
use super::links::{Brought, Links, leads_out};
use super::place::{self, Place};
use super::terms::{Unpacked, Unpacking};
use crate::{Entry, EntryKind, attributes, shown};

pub(super) struct Work<'a> {
    place: Place,
    unpacking: &'a Unpacking,
    is_root: bool,
    pub(super) done: Unpacked,
    buffer: Box<[u8]>,
    /// What it brought, if only that may be linked to.
    brought: Brought,
    /// The first links that were left out, and how many there are.
    left_links: Vec<String>,
    links_left: u64,
    reserve: Option<Reserve>,
    told: &'a mut dyn FnMut(u64),
}

impl<'a> Work<'a> {
    pub(super) fn new(to: Destination, unpacking: &'a Unpacking, told: &'a mut dyn FnMut(u64)) -> Self {
        Self {
            reserve: unpacking.reserve.then(|| Reserve::of(&to.dir)),
            brought: Brought::default(),
            left_links: Vec::new(),
            links_left: 0,
            place: Place::new(to, unpacking),
            unpacking,
            is_root: rustix::process::geteuid().is_root(),
            done: Unpacked::default(),
            buffer: vec![0; 256 << 10].into(),
            told,
        }
    }

    pub(crate) fn entry(&mut self, entry: Entry, content: &mut dyn Read) -> Result<(), UnpackError> {
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
            EntryKind::File { size, segments } => self.file(last, &full, size, &segments, &meta, content),
            EntryKind::Symlink(target) => {
                if self.unpacking.links == Links::Within
                    && leads_out(self.place.base(), above, &target, &self.tops())
                {
                    self.leave_link(&full);
                    return Ok(());
                }
                let made = self.place.node(&full, |dir, name| dir.symlink(&target, name))?;
                self.node_meta(&made, &meta, &full)?;
                self.place.put(made, last, &full)
            }
            EntryKind::HardLink(existing) => self.hard_link(&existing, above, last, &full),
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

    fn file(
        &mut self,
        last: &[u8],
        full: &[u8],
        size: u64,
        segments: &[Segment],
        meta: &Meta,
        content: &mut dyn Read,
    ) -> Result<(), UnpackError> {
        let here = self.place.here();
        if let Some(reserve) = &mut self.reserve {
            let coming = segments
                .iter()
                .fold(0, |sum: u64, part| sum.saturating_add(part.len));
            reserve.file(here, here.path(), coming).map_err(hosted(full))?;
        }
        let mut fresh = here.fresh().map_err(hosted(full))?;
        let where_to = here.path().to_owned();
        for segment in segments {
            let mut more = |fresh: &Fresh, len| match &mut self.reserve {
                Some(reserve) => reserve.more(fresh, &where_to, len).map_err(hosted(full)),
                None => Ok(()),
            };
            self.done.bytes += fresh::fill(&mut fresh, *segment, content, &mut self.buffer, full, &mut more)?;
            (self.told)(self.done.bytes);
        }
        // A hole may end it.
        let failed = |source| UnpackError::file("write", full, source);
        fresh.file().set_len(size).map_err(failed)?;
        self.file_meta(fresh.file(), meta, full)?;
        if self.unpacking.links == Links::Within {
            self.brought.add(&fresh.file().metadata().map_err(failed)?);
        }
        fresh
            .name(OsStr::from_bytes(last), self.unpacking.replace)
            .map_err(hosted(full))
    }

    fn hard_link(
        &mut self,
        existing: &[u8],
        above: &[&[u8]],
        last: &[u8],
        full: &[u8],
    ) -> Result<(), UnpackError> {
        let existing = inside(self.unpacking, existing)?;
        let Some((file, from)) = existing.split_last() else {
            return Err(UnpackError::Outside(shown(full)));
        };
        let (file, from) = (
            OsStr::from_bytes(file),
            self.place.open(from).map_err(hosted(full))?,
        );
        if self.unpacking.links == Links::Within
            && !self.may_link(&from, file, above).map_err(hosted(full))?
        {
            self.leave_link(full);
            return Ok(());
        }
        let made = self.place.node(full, |to, name| to.link(&from, file, name))?;
        self.place.put(made, last, full)
    }

    /// Whether a file may get another name in the directory `above`: what this archive brought may, but a symbolic link only if
    /// it does not lead out from there.
    fn may_link(&self, from: &banger_hostfs::Dir, file: &OsStr, above: &[&[u8]]) -> Result<bool, HostError> {
        let found = match from.look(file) {
            Ok(found) => found,
            // One that was left out has no other names either.
            Err(error) if error.is_absent() && self.links_left > 0 => return Ok(false),
            Err(error) => return Err(error),
        };
        match found.kind() {
            Kind::Symlink => Ok(!leads_out(
                self.place.base(),
                above,
                &found.target()?,
                &self.tops(),
            )),
            _ => Ok(self.brought.has(found.metadata())),
        }
    }

    /// The names at the top of what is copied, as they are on this side.
    fn tops(&self) -> Vec<&[u8]> {
        match &self.unpacking.rename {
            Some(name) => vec![name],
            None => self.unpacking.tops.iter().map(Vec::as_slice).collect(),
        }
    }

    fn leave_link(&mut self, full: &[u8]) {
        self.links_left += 1;
        if self.left_links.len() < 3 {
            self.left_links.push(shown(full));
        }
    }

    pub(crate) fn tell_links(&mut self) {
        if self.links_left == 0 {
            return;
        }
        let more = match self.links_left > self.left_links.len() as u64 {
            true => ", …",
            false => "",
        };
        let links = match self.links_left {
            1 => "1 link was left out, which leads".to_owned(),
            links => format!("{links} links were left out, which lead"),
        };
        let names = self.left_links.join(", ");
        self.done.notes.insert(
            0,
            format!("{links} out of what was copied ({names}{more}): --links=keep copies such links"),
        );
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
                "{} was left out: it is a device or a named pipe (-a copies it)",
                shown(full)
            ));
            return Ok(());
        }
        let made = self.place.node(full, |dir, name| dir.node(name, kind, device))?;
        self.node_meta(&made, meta, full)?;
        made.dir
            .set_mode_of_node(&made.name, self.mode(meta))
            .map_err(hosted(full))?;
        if self.unpacking.links == Links::Within {
            self.brought
                .add(made.dir.look(&made.name).map_err(hosted(full))?.metadata());
        }
        self.place.put(made, last, full)
    }

    fn mode(&self, meta: &Meta) -> u32 {
        u32::from(meta.mode) & if self.unpacking.all { 0o7777 } else { 0o777 }
    }

    /// Whose an entry becomes; nothing is whoever we are.
    fn owner(&self, meta: &Meta) -> Option<(Uid, Gid)> {
        let archived = self.unpacking.all.then_some((meta.uid, meta.gid));
        let (uid, gid) = self.unpacking.owner.or(archived)?;
        // The number of nobody at all: to chown(2) it means that the owner stays.
        let is_one = uid != u32::MAX && gid != u32::MAX;
        // Only root can give files away. Someone else's copy is their own, as with every program that copies.
        let may = self.is_root || self.unpacking.owner.is_some();
        (may && is_one).then(|| (Uid::from_raw(uid), Gid::from_raw(gid)))
    }

    fn file_meta(&mut self, file: &std::fs::File, meta: &Meta, full: &[u8]) -> Result<(), UnpackError> {
        let failed = |what| move |errno: Errno| UnpackError::file(what, full, errno.into());
        if let Some((uid, gid)) = self.owner(meta) {
            rustix::fs::fchown(file, Some(uid), Some(gid)).map_err(failed("set the owner of"))?;
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
                    "attribute of {} was not set: `{}` is not allowed here",
                    shown(full),
                    shown(&xattr.name)
                ));
            }
        }
        rustix::fs::fchmod(file, Mode::from_raw_mode(self.mode(meta))).map_err(failed("set the mode of"))?;
        rustix::fs::futimens(file, &times(meta)).map_err(failed("set the time of"))
    }

    fn directory_meta(&mut self, at: &place::Left, meta: &Meta) -> Result<(), UnpackError> {
        let itself = at.dir.file_of_itself().map_err(hosted(&at.name))?;
        self.file_meta(&itself, meta, &at.name)
    }

    fn node_meta(&self, made: &place::Made, meta: &Meta, full: &[u8]) -> Result<(), UnpackError> {
        if let Some((uid, gid)) = self.owner(meta) {
            made.dir
                .set_owner(&made.name, uid.as_raw(), gid.as_raw())
                .map_err(hosted(full))?;
        }
        made.dir.set_times(&made.name, &times(meta)).map_err(hosted(full))
    }

    pub(crate) fn leave_all(&mut self) -> Result<(), UnpackError> {
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
