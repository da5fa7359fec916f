//! Any tree comes back as it was.

use std::ffi::OsStr;
use std::fs::{File, FileTimes};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use banger_archive::pack::Packing;
use banger_archive::unpack::Unpacking;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use crate::both::{described, packed, unpacked};

/// A file of a random tree.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    File {
        parts: Vec<(u32, Vec<u8>)>,
        tail: u32,
        mode: u32,
        nanos: u32,
    },
    Link(Vec<u8>),
    Same,
    Directory(u32),
}

pub(crate) fn name() -> impl Strategy<Value = Vec<u8>> {
    vec(prop_oneof![1_u8..b'/', b'0'..=0xFF], 1..120)
        .prop_filter("no name", |name| name != b"." && name != b"..")
}

fn node() -> impl Strategy<Value = Node> {
    let part = (0_u32..200_000, vec(1_u8.., 1..300));
    prop_oneof![
        3 => (vec(part, 0..4), 0_u32..100_000, 0o400_u32..0o1000, 0_u32..1_000_000_000)
            .prop_map(|(parts, tail, mode, nanos)| Node::File { parts, tail, mode, nanos }),
        1 => vec(1_u8.., 1..200).prop_map(Node::Link),
        1 => Just(Node::Same),
        2 => (0o700_u32..0o1000).prop_map(Node::Directory),
    ]
}

pub(crate) fn made(root: &Path, nodes: &std::collections::BTreeMap<Vec<u8>, Node>) {
    let mut dirs = vec![root.to_owned()];
    let mut last = None;
    for (index, (name, node)) in nodes.iter().enumerate() {
        let path = dirs[index % dirs.len()].join(OsStr::from_bytes(name));
        match node {
            Node::File {
                parts,
                tail,
                mode,
                nanos,
            } => {
                let mut file = File::create(&path).unwrap();
                for (skip, bytes) in parts {
                    file.seek(SeekFrom::Current((*skip).into())).unwrap();
                    file.write_all(bytes).unwrap();
                }
                let end = file.stream_position().unwrap();
                file.set_len(end + u64::from(*tail)).unwrap();
                let time = SystemTime::UNIX_EPOCH + Duration::new(1_500_000_000, *nanos);
                file.set_times(FileTimes::new().set_modified(time)).unwrap();
                std::fs::set_permissions(&path, PermissionsExt::from_mode(*mode)).unwrap();
                let _ = xattr::set(&path, "user.banger", b"\0v\xff");
                last = Some(path);
            }
            Node::Link(target) => symlink(OsStr::from_bytes(target), &path).unwrap(),
            Node::Same => {
                if let Some(last) = &last {
                    std::fs::hard_link(last, &path).unwrap();
                }
            }
            Node::Directory(mode) => {
                std::fs::create_dir(&path).unwrap();
                std::fs::set_permissions(&path, PermissionsExt::from_mode(*mode)).unwrap();
                dirs.push(path);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn a_random_tree_comes_back_equal(nodes in btree_map(name(), node(), 0..30)) {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        std::fs::create_dir(&from).unwrap();
        made(&from, &nodes);
        let tar = packed(&from, b"", Packing { all: true, ..Packing::default() });
        unpacked(&tar, &to, &Unpacking { all: true, ..Unpacking::default() }).unwrap();
        prop_assert_eq!(described(&from), described(&to));
        let differs = Command::new("diff").args(["-r", "--no-dereference"]).arg(&from).arg(&to).output().unwrap();
        prop_assert!(differs.stdout.is_empty(), "{}", String::from_utf8_lossy(&differs.stdout));
        // Again over itself: everything is replaced by its like.
        unpacked(&tar, &to, &Unpacking { all: true, ..Unpacking::default() }).unwrap();
        prop_assert_eq!(described(&from), described(&to));
        for name in nodes.keys() {
            let name = OsStr::from_bytes(name);
            let of = |dir: &Path| xattr::get(dir.join(name), "user.banger").ok().flatten();
            prop_assert_eq!(of(&from), of(&to));
        }
    }
}

#[test]
fn holes_stay_holes() {
    let dir = tempfile::tempdir().unwrap();
    let file = File::create(dir.path().join("sparse")).unwrap();
    file.set_len(1 << 30).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"data", 500 << 20).unwrap();
    let tar = packed(&dir.path().join("sparse"), b"copy", Packing::default());
    assert!(tar.len() < 1 << 20, "{}", tar.len());
    unpacked(&tar, dir.path(), &Unpacking::default()).unwrap();
    let copy = std::fs::metadata(dir.path().join("copy")).unwrap();
    assert_eq!(copy.len(), 1 << 30);
    assert!(copy.blocks() * 512 < 1 << 20, "{}", copy.blocks());
}

#[test]
fn gnu_tar_reads_what_is_packed() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (dir.path().join("from"), dir.path().join("to"));
    std::fs::create_dir_all(from.join("a")).unwrap();
    std::fs::create_dir(&to).unwrap();
    std::fs::write(from.join("a/b"), "content").unwrap();
    std::fs::hard_link(from.join("a/b"), from.join("c")).unwrap();
    symlink("a/b", from.join("d")).unwrap();
    let archive = dir.path().join("x.tar");
    std::fs::write(&archive, packed(&from, b"", Packing::default())).unwrap();
    let status = Command::new("tar")
        .arg("-xpf")
        .arg(&archive)
        .arg("-C")
        .arg(&to)
        .status()
        .unwrap();
    assert!(status.success());
    assert_eq!(described(&from), described(&to));
}
