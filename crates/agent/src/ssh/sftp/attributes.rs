//! What is known of a file, and what shall be changed of it (section 5 of the draft).

use std::fs::{File, Metadata};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use banger_ssh::wire::{Reader, Write};
use rustix::fs::{AtFlags, CWD, Mode, Timespec, Timestamps};
use rustix::process::{Gid, Uid};

use super::failed::Failed;

const SIZE: u32 = 1;
const OWNER: u32 = 2;
const MODE: u32 = 4;
const TIMES: u32 = 8;
const EXTENDED: u32 = 0x8000_0000;

/// Bits of a mode that may be changed.
const PERMISSIONS: u32 = 0o7777;

/// Attributes, of which each may be absent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Attributes {
    pub(super) size: Option<u64>,
    pub(super) owner: Option<(u32, u32)>,
    pub(super) mode: Option<u32>,
    /// Of the last use and of the last change, in seconds.
    pub(super) times: Option<(u32, u32)>,
}

impl From<&Metadata> for Attributes {
    fn from(metadata: &Metadata) -> Self {
        // The protocol has 32 bits.
        let seconds = |time: i64| u32::try_from(time.max(0)).unwrap_or(u32::MAX);
        Self {
            size: Some(metadata.size()),
            owner: Some((metadata.uid(), metadata.gid())),
            mode: Some(metadata.mode()),
            times: Some((seconds(metadata.atime()), seconds(metadata.mtime()))),
        }
    }
}

impl Attributes {
    pub(super) fn read(from: &mut Reader<'_>) -> Result<Self, Failed> {
        let flags = from.number()?;
        let has = |flag| flags & flag != 0;
        let size = has(SIZE).then(|| from.long()).transpose()?;
        let owner = has(OWNER).then(|| pair(from)).transpose()?;
        let mode = has(MODE).then(|| from.number()).transpose()?;
        let times = has(TIMES).then(|| pair(from)).transpose()?;
        if has(EXTENDED) {
            for _ in 0..from.number()? {
                from.string()?;
                from.string()?;
            }
        }
        Ok(Self {
            size,
            owner,
            mode,
            times,
        })
    }

    pub(super) fn put(&self, to: &mut Vec<u8>) {
        let flag = |is: bool, flag| if is { flag } else { 0 };
        to.put_number(
            flag(self.size.is_some(), SIZE)
                | flag(self.owner.is_some(), OWNER)
                | flag(self.mode.is_some(), MODE)
                | flag(self.times.is_some(), TIMES),
        );
        if let Some(size) = self.size {
            to.put_long(size);
        }
        if let Some((one, other)) = self.owner {
            to.put_number(one);
            to.put_number(other);
        }
        if let Some(mode) = self.mode {
            to.put_number(mode);
        }
        if let Some((used, changed)) = self.times {
            to.put_number(used);
            to.put_number(changed);
        }
    }

    /// The permissions of a new file.
    pub(super) fn permissions(&self, otherwise: u32) -> Mode {
        Mode::from_raw_mode(self.mode.unwrap_or(otherwise) & PERMISSIONS)
    }

    /// Changes an open file to these.
    pub(super) fn apply_to(&self, file: &File) -> Result<(), Failed> {
        if let Some(size) = self.size {
            file.set_len(size)?;
        }
        if let Some((user, group)) = self.owner {
            let (user, group) = ids(user, group);
            rustix::fs::fchown(file, user, group)?;
        }
        // After the owner, whose change takes some of them away.
        if self.mode.is_some() {
            rustix::fs::fchmod(file, self.permissions(0))?;
        }
        if let Some(times) = self.times {
            rustix::fs::futimens(file.as_fd(), &timestamps(times))?;
        }
        Ok(())
    }

    /// Changes what is at `path`, or the link itself that is there.
    pub(super) fn apply_at(&self, path: &Path, follow: bool) -> Result<(), Failed> {
        let flags = if follow {
            AtFlags::empty()
        } else {
            AtFlags::SYMLINK_NOFOLLOW
        };
        if let Some(size) = self.size {
            File::options().write(true).open(path)?.set_len(size)?;
        }
        if let Some((user, group)) = self.owner {
            let (user, group) = ids(user, group);
            rustix::fs::chownat(CWD, path, user, group, flags)?;
        }
        if self.mode.is_some() {
            rustix::fs::chmodat(CWD, path, self.permissions(0), flags)?;
        }
        if let Some(times) = self.times {
            rustix::fs::utimensat(CWD, path, &timestamps(times), flags)?;
        }
        Ok(())
    }
}

fn pair(from: &mut Reader<'_>) -> Result<(u32, u32), Failed> {
    Ok((from.number()?, from.number()?))
}

fn timestamps((used, changed): (u32, u32)) -> Timestamps {
    let time = |seconds: u32| Timespec {
        tv_sec: seconds.into(),
        tv_nsec: 0,
    };
    Timestamps {
        last_access: time(used),
        last_modification: time(changed),
    }
}
/// The greatest number is nobody's, and changes nothing (chown(2)).
fn ids(user: u32, group: u32) -> (Option<Uid>, Option<Gid>) {
    let is_one = |id: u32| id != u32::MAX;
    (
        is_one(user).then(|| Uid::from_raw(user)),
        is_one(group).then(|| Gid::from_raw(group)),
    )
}
