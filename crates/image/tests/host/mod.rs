//! Trees on the host's file system and in mounted images, compared in all that a program can see.

#![allow(dead_code, missing_docs, unreachable_pub)] // Each test program uses its part.

// How to mount, walk and check an ext4 file system is the same for both crates.
#[path = "../../../ext4/tests/host/mod.rs"]
pub mod ext4;
pub mod layers;
pub mod stack;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use ext4::{Seen, look, walk};
use rustix::fs::SeekFrom;

/// `cap_net_raw=ep`, as linux/capability.h lays it out.
pub const CAPABILITY: [u8; 20] = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// `u::rwx,u:1234:r--,g::r-x,g:99:-w-,m::rwx,o::---`
pub fn acl() -> Vec<u8> {
    let entries: [(u16, u16, u32); 6] = [
        (0x01, 7, u32::MAX),
        (0x02, 4, 1234),
        (0x04, 5, u32::MAX),
        (0x08, 2, 99),
        (0x10, 7, u32::MAX),
        (0x20, 0, u32::MAX),
    ];
    let mut value = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        value.extend(tag.to_le_bytes());
        value.extend(permissions.to_le_bytes());
        value.extend(id.to_le_bytes());
    }
    value
}

/// All that a program can see of an entry.
#[derive(PartialEq, Eq)]
pub struct Shown {
    pub kind: &'static str,
    pub mode: u32,
    pub owner: (u32, u32),
    pub mtime: (i64, i64),
    pub rdev: u64,
    /// Not of directories, whose sizes and links are the file system's own affair.
    pub size: u64,
    pub links: u64,
    /// The first name of the same inode.
    pub first: Vec<u8>,
    pub target: Option<PathBuf>,
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The blocks that hold anything but zeros, with their bytes' sum.
    pub data: BTreeMap<u64, u64>,
}

/// On one line, with names as text.
impl fmt::Debug for Shown {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} {:o} {:?} {}.{:09} rdev {} size {} links {} of `{}` -> {:?} {} data {:?}",
            self.kind,
            self.mode,
            self.owner,
            self.mtime.0,
            self.mtime.1,
            self.rdev,
            self.size,
            self.links,
            self.first.escape_ascii(),
            self.target,
            self.xattrs
                .iter()
                .map(|(name, value)| format!("{}={} ", name.escape_ascii(), value.escape_ascii()))
                .collect::<String>(),
            self.data,
        )
    }
}

const BLOCK: u64 = 4096;

fn show(path: &Path, seen: &Seen, first: &[u8]) -> Shown {
    let is_directory = seen.kind == "directory";
    let xattrs = xattr::list(path)
        .unwrap()
        .filter(|name| name != "security.selinux")
        .map(|name| {
            let value = xattr::get(path, &name).unwrap().unwrap();
            (name.as_bytes().to_vec(), value)
        });
    Shown {
        kind: seen.kind,
        mode: seen.mode,
        owner: seen.owner,
        mtime: seen.mtime,
        rdev: seen.rdev,
        size: if is_directory { 0 } else { seen.size },
        links: if is_directory { 0 } else { seen.links },
        first: first.to_vec(),
        target: fs::read_link(path).ok(),
        xattrs: xattrs.collect(),
        data: if seen.kind == "file" {
            data(path, seen.size).filter(|(_, sum)| *sum != 0).collect()
        } else {
            BTreeMap::new()
        },
    }
}

/// The blocks that are no holes, with a sum that is zero if all their bytes are.
fn data(path: &Path, size: u64) -> impl Iterator<Item = (u64, u64)> {
    let file = File::open(path).unwrap();
    let mut blocks = Vec::new();
    let mut at = 0;
    while at < size {
        let Ok(start) = rustix::fs::seek(&file, SeekFrom::Data(at)) else {
            break;
        };
        at = rustix::fs::seek(&file, SeekFrom::Hole(start)).unwrap();
        for block in start / BLOCK..at.div_ceil(BLOCK) {
            let mut bytes = [0; BLOCK as usize];
            let read = file.read_at(&mut bytes, block * BLOCK).unwrap();
            let sum = bytes[..read]
                .iter()
                .fold(0_u64, |sum, &byte| sum.wrapping_mul(1_000_003) ^ u64::from(byte));
            blocks.push((block, sum));
        }
    }
    blocks.into_iter()
}

/// Everything below a directory, and itself.
pub fn shown(root: &Path) -> BTreeMap<Vec<u8>, Shown> {
    let mut seen = walk(root);
    seen.insert(Vec::new(), look(root));
    seen.retain(|path, seen| path != b"lost+found" && seen.kind != "socket");
    let mut first = BTreeMap::new();
    for (path, seen) in &seen {
        first.entry(seen.inode).or_insert(path);
    }
    seen.iter()
        .map(|(path, seen)| {
            let at = root.join(OsStr::from_bytes(path));
            (path.clone(), show(&at, seen, first[&seen.inode]))
        })
        .collect()
}

/// Whether everything that can be a hole is one.
pub fn has_all_holes(root: &Path, shown: &BTreeMap<Vec<u8>, Shown>) -> bool {
    let mut files = shown.iter().filter(|(_, shown)| shown.kind == "file");
    files.all(|(path, shown)| {
        let path = root.join(OsStr::from_bytes(path));
        data(&path, shown.size).all(|(_, sum)| sum != 0)
    })
}

pub fn assert_same(what: &str, left: &BTreeMap<Vec<u8>, Shown>, right: &BTreeMap<Vec<u8>, Shown>) {
    let differences = differences(left, right);
    assert!(differences.is_empty(), "{what} differ:\n{differences}");
}

/// In what two trees differ, two lines a path.
pub fn differences(left: &BTreeMap<Vec<u8>, Shown>, right: &BTreeMap<Vec<u8>, Shown>) -> String {
    let paths: BTreeSet<&Vec<u8>> = left.keys().chain(right.keys()).collect();
    let pairs = paths.iter().map(|path| (path, left.get(*path), right.get(*path)));
    pairs
        .filter(|(_, left, right)| left != right)
        .map(|(path, left, right)| {
            let path = path.escape_ascii();
            format!("{path}: {left:?}\n{path}: {right:?}\n")
        })
        .collect()
}

/// An error with its causes.
pub fn words(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        words += &format!(": {error}");
        source = error.source();
    }
    words
}
