//! Open files and directories.

use std::collections::BTreeMap;
use std::fs::{File, Metadata, ReadDir};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use banger_ssh::wire::Reader;
use rustix::fs::OFlags;

use super::attributes::Attributes;
use super::failed::Failed;
use super::message::Answer;
use super::names::{self, Names};

/// Handles that a client may have: commands have no more descriptors either, by Linux's own limit.
pub(super) const MAX_HANDLES: usize = 512;

/// The most bytes of a read, and of a write.
const MAX_DATA: u64 = 255 << 10;

/// The most names of an answer.
const MAX_NAMES: usize = 100;

/// What a handle stands for.
#[derive(Debug)]
enum Open {
    File(File),
    /// With `.` and `..`, which the system's own list has and Rust's leaves out.
    Directory {
        list: ReadDir,
        dots: Option<PathBuf>,
    },
}

/// A client's open files, and where relative names are.
#[derive(Debug)]
pub(super) struct Files {
    names: Names,
    open: BTreeMap<u32, Open>,
    next: u32,
}

/// What `limits@openssh.com` tells.
pub(super) fn limits() -> Answer {
    let longest = super::MAX_MESSAGE as u64;
    Answer::Numbers(vec![longest, MAX_DATA, MAX_DATA, MAX_HANDLES as u64])
}

impl Files {
    pub(super) fn new(home: &Path) -> Self {
        Self {
            names: Names::new(home),
            open: BTreeMap::new(),
            next: 0,
        }
    }

    pub(super) const fn names(&self) -> &Names {
        &self.names
    }

    fn add(&mut self, open: impl FnOnce(&Names) -> Result<Open, Failed>) -> Result<Answer, Failed> {
        if self.open.len() >= MAX_HANDLES {
            return Err(Failed::Handles);
        }
        let open = open(&self.names)?;
        let handle = self.next;
        self.next = self.next.wrapping_add(1);
        self.open.insert(handle, open);
        Ok(Answer::Handle(handle))
    }

    fn file(&self, from: &mut Reader<'_>) -> Result<&File, Failed> {
        match self.open.get(&handle(from)?) {
            Some(Open::File(file)) => Ok(file),
            _ => Err(Failed::Malformed),
        }
    }

    pub(super) fn open(&mut self, from: &mut Reader<'_>) -> Result<Answer, Failed> {
        let name = from.string()?;
        let wished = from.number()?;
        let attributes = Attributes::read(from)?;
        self.add(|names| {
            let path = names.path(name);
            let permissions = attributes.permissions(0o666);
            let file = rustix::fs::open(path, flags(wished), permissions)?;
            Ok(Open::File(file.into()))
        })
    }

    pub(super) fn opendir(&mut self, from: &mut Reader<'_>) -> Result<Answer, Failed> {
        let name = from.string()?;
        self.add(|names| {
            let path = names.path(name);
            let list = std::fs::read_dir(&path)?;
            let dots = Some(path);
            Ok(Open::Directory { list, dots })
        })
    }

    pub(super) fn close(&mut self, from: &mut Reader<'_>) -> Result<Answer, Failed> {
        let closed = self.open.remove(&handle(from)?);
        closed.map(|_| Answer::Done).ok_or(Failed::Malformed)
    }

    pub(super) fn read(&self, from: &mut Reader<'_>) -> Result<Answer, Failed> {
        let file = self.file(from)?;
        let offset = from.long()?;
        let wanted = u64::from(from.number()?).min(MAX_DATA);
        let mut bytes = vec![0; usize::try_from(wanted).map_err(|_| Failed::Malformed)?];
        let read = file.read_at(&mut bytes, offset)?;
        if read == 0 && wanted > 0 {
            return Err(Failed::End);
        }
        bytes.truncate(read);
        Ok(Answer::Data(bytes))
    }

    pub(super) fn write(&self, from: &mut Reader<'_>) -> Result<Answer, Failed> {
        let file = self.file(from)?;
        let offset = from.long()?;
        file.write_all_at(from.string()?, offset)?;
        Ok(Answer::Done)
    }

    /// Copies from one file to another within the guest (draft-ietf-secsh-filexfer-extensions-00, section 7).
    pub(super) fn copy_data(&self, from: &mut Reader<'_>) -> Result<Answer, Failed> {
        let (source, mut read_at, length) = (self.file(from)?, from.long()?, from.long()?);
        let (target, mut write_at) = (self.file(from)?, from.long()?);
        // No length is all there is, to an end that is seen when it is met: sizes of some files are a lie.
        let mut left = if length == 0 { u64::MAX } else { length };
        if overlaps(source, (read_at, left), target, write_at)? {
            return Err(Failed::Overlap);
        }
        let mut bytes = vec![0; usize::try_from(MAX_DATA).map_err(|_| Failed::Malformed)?];
        while left > 0 {
            let wanted = usize::try_from(left.min(MAX_DATA)).map_err(|_| Failed::Malformed)?;
            let read = source.read_at(&mut bytes[..wanted], read_at)?;
            if read == 0 {
                break;
            }
            target.write_all_at(&bytes[..read], write_at)?;
            let read = read as u64;
            (read_at, write_at, left) = (read_at + read, write_at + read, left - read);
        }
        Ok(Answer::Done)
    }

    pub(super) fn fstat(&self, from: &mut Reader<'_>) -> Result<Answer, Failed> {
        let metadata = self.file(from)?.metadata()?;
        Ok(Answer::Attributes((&metadata).into()))
    }

    pub(super) fn fsetstat(&self, from: &mut Reader<'_>) -> Result<Answer, Failed> {
        let file = self.file(from)?;
        Attributes::read(from)?.apply_to(file)?;
        Ok(Answer::Done)
    }

    pub(super) fn fsync(&self, from: &mut Reader<'_>) -> Result<Answer, Failed> {
        self.file(from)?.sync_all()?;
        Ok(Answer::Done)
    }

    pub(super) fn fstatvfs(&self, from: &mut Reader<'_>) -> Result<Answer, Failed> {
        let found = rustix::fs::fstatvfs(self.file(from)?)?;
        Ok(names::space(&found))
    }

    pub(super) fn readdir(&mut self, from: &mut Reader<'_>) -> Result<Answer, Failed> {
        let Some(Open::Directory { list, dots }) = self.open.get_mut(&handle(from)?) else {
            return Err(Failed::Malformed);
        };
        let mut found = Vec::new();
        if let Some(path) = dots.take() {
            for name in [".", ".."] {
                found.extend(
                    std::fs::metadata(path.join(name))
                        .ok()
                        .map(|seen| named(name.as_bytes(), &seen)),
                );
            }
        }
        for entry in list.by_ref().take(MAX_NAMES) {
            let entry = entry?;
            let name = entry.file_name().as_bytes().to_vec();
            // One that went meanwhile is not there.
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            found.push(named(&name, &metadata));
        }
        if found.is_empty() {
            return Err(Failed::End);
        }
        Ok(Answer::Names(found))
    }
}

/// An entry of a list.
fn named(name: &[u8], metadata: &Metadata) -> (Vec<u8>, String, Attributes) {
    (name.to_owned(), names::long(name, metadata), metadata.into())
}

fn handle(from: &mut Reader<'_>) -> Result<u32, Failed> {
    let handle = from.string()?.try_into().map_err(|_| Failed::Malformed)?;
    Ok(u32::from_be_bytes(handle))
}

/// Whether what is read and what is written are of one file and have bytes in common, so that the copy would read what it wrote.
fn overlaps(source: &File, read: (u64, u64), target: &File, write_at: u64) -> Result<bool, Failed> {
    let (source, target) = (source.metadata()?, target.metadata()?);
    if (source.dev(), source.ino()) != (target.dev(), target.ino()) {
        return Ok(false);
    }
    let (start, length) = read;
    // Up to the end that there is now: what is written before it does not move it.
    let end = start.saturating_add(length).min(source.len());
    let copied = end.saturating_sub(start);
    Ok(copied > 0 && start < write_at.saturating_add(copied) && write_at < end)
}

/// How to open a file, by the flags of section 6.3 of the draft.
fn flags(wished: u32) -> OFlags {
    const READ: u32 = 0x01;
    const WRITE: u32 = 0x02;
    const OTHERS: [(u32, OFlags); 4] = [
        (0x04, OFlags::APPEND),
        (0x08, OFlags::CREATE),
        (0x10, OFlags::TRUNC),
        (0x20, OFlags::EXCL),
    ];
    let mut flags = match (wished & READ != 0, wished & WRITE != 0) {
        (true, true) => OFlags::RDWR,
        (false, true) => OFlags::WRONLY,
        (_, false) => OFlags::RDONLY,
    };
    for (wish, flag) in OTHERS {
        if wished & wish != 0 {
            flags |= flag;
        }
    }
    flags | OFlags::CLOEXEC | OFlags::NOCTTY
}
