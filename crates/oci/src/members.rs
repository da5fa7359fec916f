//! Files of an image's layout, in a directory or in an archive that is never unpacked.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use banger_bounded::{Exceeded, Format, MAGIC};
use banger_store::OfFile;

use crate::error::Error;
use crate::verified;

/// The files of a layout or of a saved image.
pub(crate) trait Members: Sync {
    /// Where they are.
    fn path(&self) -> &Path;

    /// Opens one.
    fn open(&self, name: &str) -> io::Result<Box<dyn Read + Send + '_>>;
}

/// Files in a directory.
pub(crate) struct Directory(pub(crate) PathBuf);

impl Members for Directory {
    fn path(&self) -> &Path {
        &self.0
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Read + Send + '_>> {
        Ok(Box::new(File::open(self.0.join(name))?))
    }
}

/// Files in a tar, read where they lie in it.
pub(crate) struct Archive {
    path: PathBuf,
    file: File,
    /// Where each begins, and its length.
    members: BTreeMap<String, (u64, u64)>,
}

impl Archive {
    /// Finds the members of the tar at `path`.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let mut file = File::open(path).of("open", path)?;
        let members = members(&mut file).of("read the archive", path)?;
        Ok(Self {
            path: path.to_owned(),
            file,
            members,
        })
    }

    /// The length of a member; 0 when it is not there.
    pub(crate) fn size(&self, name: &str) -> u64 {
        self.place(name).map_or(0, |(_, len)| len)
    }

    /// Whether it has a file of that name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.place(name).is_some()
    }

    fn place(&self, name: &str) -> Option<(u64, u64)> {
        self.members.get(&beside("", name)).copied()
    }
}

/// The most files and links of an archive of an image: three for each layer, and some.
const MOST_MEMBERS: usize = 100_000;

/// How many links are followed on the way to a file, as Linux does (path_resolution(7)).
const MOST_LINKS: usize = 40;

/// The most bytes of an archive beside its files' content, which is passed over: that many headers with long names. What
/// belongs to a header is read whole, whatever length it says.
const MOST_HEADERS: u64 = 96 << 20;

/// What is read of an archive to find its members, with an end.
struct Headers<'a> {
    file: &'a mut File,
    left: u64,
}

impl Read for Headers<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(Exceeded::Headers(MOST_HEADERS).into());
        }
        let read = self.file.by_ref().take(self.left).read(buffer)?;
        self.left -= read as u64;
        Ok(read)
    }
}

impl Seek for Headers<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

pub(crate) fn members(file: &mut File) -> io::Result<BTreeMap<String, (u64, u64)>> {
    let mut members = BTreeMap::new();
    let mut links = BTreeMap::new();
    let left = MOST_HEADERS;
    for entry in tar::Archive::new(Headers { file, left }).entries_with_seek()? {
        let entry = entry?;
        let name = beside("", &String::from_utf8_lossy(&entry.path_bytes()));
        match entry.header().entry_type() {
            kind if kind.is_file() => {
                links.remove(&name);
                members.insert(name, (entry.raw_file_position(), entry.size()));
            }
            // `docker save` once wrote a layer that two images share as a symbolic link to the first; others write hard
            // links, and links to directories.
            kind if kind.is_symlink() || kind.is_hard_link() => {
                let target = entry.link_name_bytes().unwrap_or_default();
                let target = String::from_utf8_lossy(&target).into_owned();
                let base = match (
                    kind.is_symlink() && !target.starts_with('/'),
                    name.rsplit_once('/'),
                ) {
                    (true, Some((dir, _))) => dir.to_owned(),
                    _ => String::new(),
                };
                members.remove(&name);
                links.insert(name, beside(&base, &target));
            }
            _ => {}
        }
        if members.len() + links.len() > MOST_MEMBERS {
            let (what, most, parts) = ("archive", MOST_MEMBERS, "files");
            return Err(Exceeded::Document { what, most, parts }.into());
        }
    }
    // A link may lead to a directory, of which each file has another name then.
    let mut named: Vec<(String, (u64, u64))> = Vec::new();
    for link in links.keys() {
        let real = followed(&links, link);
        if let Some(&place) = members.get(&real) {
            named.push((link.clone(), place));
            continue;
        }
        let within = format!("{real}/");
        for (name, &place) in members.range(within.clone()..) {
            let Some(rest) = name.strip_prefix(&within) else {
                break;
            };
            named.push((format!("{link}/{rest}"), place));
            if named.len() > MOST_MEMBERS {
                let (what, most, parts) = ("archive", MOST_MEMBERS, "files");
                return Err(Exceeded::Document { what, most, parts }.into());
            }
        }
    }
    for (name, place) in named {
        members.entry(name).or_insert(place);
    }
    Ok(members)
}

/// Where a path leads: links in it and at its end are followed, in whatever order they came.
fn followed(links: &BTreeMap<String, String>, path: &str) -> String {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        let link = ends
            .map(|end| &path[..end])
            .find_map(|above| Some((above.len(), links.get(above)?)));
        let Some((end, target)) = link else { break };
        path = beside(target, path[end..].trim_start_matches('/'));
    }
    path
}

/// The path that `target` is when seen from the directory `base`, without parts that say nothing.
fn beside(base: &str, target: &str) -> String {
    let mut parts: Vec<&str> = base.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

impl Members for Archive {
    fn path(&self) -> &Path {
        &self.path
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Read + Send + '_>> {
        let (at, len) = self.place(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(Window {
            file: &self.file,
            at,
            end: at + len,
        }))
    }
}

/// A part of a file. Several may be read at once.
struct Window<'a> {
    file: &'a File,
    at: u64,
    end: u64,
}

impl Read for Window<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        use std::os::unix::fs::FileExt;
        let len = (self.end - self.at).min(buffer.len() as u64) as usize;
        let read = self.file.read_at(&mut buffer[..len], self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// Reads a document among `members`.
pub(crate) fn document(members: &dyn Members, name: &str) -> Result<Vec<u8>, Error> {
    let missing = || Error::NoMember {
        path: members.path().to_owned(),
        member: name.to_owned(),
    };
    let mut bytes = Vec::new();
    members
        .open(name)
        .and_then(|file| file.take(verified::LONGEST).read_to_end(&mut bytes))
        .map_err(|_| missing())?;
    Ok(bytes)
}

/// Opens a layer among `members`.
pub(crate) fn layer<'a>(members: &'a dyn Members, name: &str) -> Result<Box<dyn Read + Send + 'a>, Error> {
    members.open(name).map_err(|_| Error::NoMember {
        path: members.path().to_owned(),
        member: name.to_owned(),
    })
}

/// Whether a file is compressed, by its first bytes; the file is at its start again.
pub(crate) fn is_compressed(file: &mut File) -> io::Result<bool> {
    let mut magic = Vec::new();
    file.take(MAGIC).read_to_end(&mut magic)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(Format::of(&magic) != Format::Plain)
}

#[cfg(test)]
mod tests;
