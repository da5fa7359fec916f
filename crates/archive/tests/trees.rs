//! A tree goes through an archive and comes back equal; an archive that lies leaves nothing outside.

use std::ffi::OsStr;
use std::fs::{File, FileTimes};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use banger_archive::pack::{Memory, PackError, Packer, Packing, name_of};
use banger_archive::unpack::{Destination, LastLink, UnpackError, Unpacked, Unpacking, remove, unpack};
use banger_archive::{Entry, EntryKind, Writer};
use banger_hostfs::Dir;
use banger_inode::{Meta, Timestamp};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

fn packed(path: &Path, name: &[u8], packing: Packing) -> Vec<u8> {
    let mut packer = Packer::new(Memory::default(), packing);
    packer.tree(path, name).unwrap();
    packer.finish().unwrap().0.bytes
}

fn unpacked(tar: &[u8], to: &Path, unpacking: &Unpacking) -> Result<Unpacked, UnpackError> {
    let destination = Destination::directory(to).unwrap();
    unpack(tar, destination, unpacking, &mut |_| {})
}

/// All that there is to say of a tree, by a program that is not ours.
fn described(dir: &Path) -> String {
    let output = Command::new("find")
        .args([".", "-printf", "%P %y %m %s %T@ %l %n\\0"])
        .current_dir(dir)
        .output()
        .unwrap();
    let mut lines: Vec<String> = output
        .stdout
        .split(|&byte| byte == 0)
        .map(|line| line.escape_ascii().to_string())
        .collect();
    lines.sort();
    lines.join("\n")
}

/// A file of a random tree.
#[derive(Debug, Clone)]
enum Node {
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

fn name() -> impl Strategy<Value = Vec<u8>> {
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

fn made(root: &Path, nodes: &std::collections::BTreeMap<Vec<u8>, Node>) {
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

fn entry(name: &[u8], kind: EntryKind) -> Entry {
    Entry {
        name: name.to_vec(),
        meta: Meta::new(0o4777, Timestamp { secs: 1, nanos: 2 }),
        kind,
    }
}

fn file(name: &[u8]) -> Entry {
    let whole = banger_inode::Segment { offset: 0, len: 4 };
    entry(
        name,
        EntryKind::File {
            size: 4,
            segments: vec![whole],
        },
    )
}

fn tar(entries: &[Entry]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for entry in entries {
        writer.entry(entry, &mut &b"evil"[..]).unwrap();
    }
    writer.finish().unwrap()
}

#[test]
fn nothing_leads_out() {
    let dir = tempfile::tempdir().unwrap();
    let (to, outside) = (dir.path().join("to"), dir.path().join("outside"));
    std::fs::create_dir_all(&to).unwrap();
    std::fs::create_dir_all(&outside).unwrap();
    std::fs::write(outside.join("secret"), "secret").unwrap();
    symlink(&outside, to.join("own-link")).unwrap();
    let link = |name: &[u8], target: &[u8]| entry(name, EntryKind::Symlink(target.to_vec()));
    let hard = |name: &[u8], target: &[u8]| entry(name, EntryKind::HardLink(target.to_vec()));
    let out = outside.as_os_str().as_bytes();
    let long: Vec<u8> = b"d/".repeat(3000);
    let hostile = [
        vec![file(b"../x")],
        vec![file(b"/etc/x")],
        vec![file(b"a/../../x")],
        vec![file(b"..")],
        vec![file(b"own-link/x")],
        vec![link(b"l", out), file(b"l/x")],
        vec![link(b"m", b".."), file(b"m/x")],
        vec![link(b"n", b"own-link"), entry(b"n/d", EntryKind::Directory)],
        vec![link(b"o", out), entry(b"o", EntryKind::Directory), file(b"o/x")],
        vec![hard(b"h", b"../outside/secret")],
        vec![hard(b"h", b"own-link/secret")],
        vec![hard(b"h", b"/etc/passwd")],
        vec![file(&[&long[..], b"x"].concat())],
        vec![file(b"")],
    ];
    for entries in hostile {
        let told = unpacked(&tar(&entries), &to, &Unpacking::default());
        assert!(told.is_err(), "{entries:?}");
        let left: Vec<_> = std::fs::read_dir(&outside).unwrap().collect();
        assert_eq!(left.len(), 1, "{entries:?}");
        assert_eq!(std::fs::read(outside.join("secret")).unwrap(), b"secret");
        assert!(!dir.path().join("x").exists());
    }
}

#[test]
fn a_file_replaces_a_link_and_not_what_it_leads_to() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("kept"), "kept").unwrap();
    let to = dir.path().join("to");
    std::fs::create_dir(&to).unwrap();
    symlink("../kept", to.join("f")).unwrap();
    unpacked(&tar(&[file(b"f")]), &to, &Unpacking::default()).unwrap();
    assert_eq!(std::fs::read(dir.path().join("kept")).unwrap(), b"kept");
    assert_eq!(std::fs::read(to.join("f")).unwrap(), b"evil");
}

#[test]
fn nothing_is_set_user_id_and_no_device_comes_unless_all_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let entries = [file(b"f"), entry(b"p", EntryKind::Fifo)];
    let done = unpacked(&tar(&entries), dir.path(), &Unpacking::default()).unwrap();
    assert_eq!(
        std::fs::metadata(dir.path().join("f")).unwrap().mode() & 0o7777,
        0o777
    );
    assert!(!dir.path().join("p").exists());
    assert_eq!(done.notes.len(), 1, "{:?}", done.notes);
    unpacked(
        &tar(&entries),
        dir.path(),
        &Unpacking {
            all: true,
            ..Unpacking::default()
        },
    )
    .unwrap();
    assert!(std::fs::symlink_metadata(dir.path().join("p")).is_ok());
}

#[test]
fn only_what_was_asked_for_comes() {
    let dir = tempfile::tempdir().unwrap();
    let asked = Unpacking {
        tops: vec![b"a".to_vec()],
        rename: Some(b"b".to_vec()),
        ..Unpacking::default()
    };
    unpacked(
        &tar(&[entry(b"a", EntryKind::Directory), file(b"a/x")]),
        dir.path(),
        &asked,
    )
    .unwrap();
    assert!(dir.path().join("b/x").exists());
    for entries in [vec![file(b".bashrc")], vec![entry(b"", EntryKind::Directory)]] {
        let told = unpacked(&tar(&entries), dir.path(), &asked);
        assert!(matches!(told, Err(UnpackError::Unasked(_))), "{told:?}");
    }
}

#[test]
fn what_is_cut_short_leaves_no_half_file() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("f"), "whole").unwrap();
    let mut tar = tar(&[file(b"f")]);
    tar.truncate(514);
    assert!(unpacked(&tar, dir.path(), &Unpacking::default()).is_err());
    assert_eq!(std::fs::read(dir.path().join("f")).unwrap(), b"whole");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn kinds_conflict_unless_replaced() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("d/e")).unwrap();
    std::fs::write(dir.path().join("d/e/f"), "").unwrap();
    std::fs::write(dir.path().join("f"), "").unwrap();
    let entries = tar(&[file(b"d"), entry(b"f", EntryKind::Directory), file(b"f/x")]);
    assert!(unpacked(&entries, dir.path(), &Unpacking::default()).is_err());
    unpacked(
        &entries,
        dir.path(),
        &Unpacking {
            replace: true,
            ..Unpacking::default()
        },
    )
    .unwrap();
    assert!(dir.path().join("d").is_file() && dir.path().join("f/x").is_file());
}

#[test]
fn a_copy_goes_where_cp_would_put_it() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    std::fs::create_dir(at("there")).unwrap();
    std::fs::write(at("file"), "").unwrap();
    let one = [b"src".to_vec()];
    let find = |path: &str, names: &[Vec<u8>]| {
        let mut unpacking = Unpacking::default();
        let path = format!("{}/{path}", dir.path().display());
        Destination::find(Path::new(&path), names, LastLink::Followed, &mut unpacking)
            .map(|_| (unpacking.rename, unpacking.directory))
    };
    assert_eq!(find("there", &one).unwrap(), (None, false));
    assert_eq!(find("there/", &one).unwrap(), (None, false));
    assert_eq!(find("new", &one).unwrap(), (Some(b"new".to_vec()), false));
    assert_eq!(find("new/", &one).unwrap(), (Some(b"new".to_vec()), true));
    assert_eq!(find("file", &one).unwrap(), (Some(b"file".to_vec()), false));
    assert!(find("file/", &one).is_err());
    assert!(find("none/new", &one).is_err());
    assert!(find("new", &[b"a".to_vec(), b"b".to_vec()]).is_err());
    assert!(find("file", &[]).is_err());
    assert_eq!(find("made", &[]).unwrap(), (None, false));
    assert!(at("made").is_dir());
}

#[test]
fn names_are_the_last_part() {
    assert_eq!(name_of(b"/a/b").as_deref(), Some(&b"b"[..]));
    assert_eq!(name_of(b"a/b//").as_deref(), Some(&b"b"[..]));
    for contents in [&b"."[..], b"a/.", b"/", b"..", b"a/.."] {
        assert_eq!(name_of(contents), None);
    }
}

#[test]
fn links_are_followed_on_request_and_never_in_a_circle() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("a")).unwrap();
    std::fs::write(dir.path().join("a/f"), "x").unwrap();
    symlink("a", dir.path().join("b")).unwrap();
    let follow = Packing {
        follow: true,
        ..Packing::default()
    };
    let to = tempfile::tempdir().unwrap();
    unpacked(&packed(dir.path(), b"", follow), to.path(), &Unpacking::default()).unwrap();
    assert!(to.path().join("b").symlink_metadata().unwrap().is_dir());
    symlink("..", dir.path().join("a/up")).unwrap();
    let told = Packer::new(Memory::default(), follow).tree(dir.path(), b"");
    assert!(matches!(told, Err(PackError::Circle(_))), "{told:?}");
}

#[test]
fn removing_goes_through_no_link() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("out/x")).unwrap();
    std::fs::create_dir_all(dir.path().join("in/d/e")).unwrap();
    symlink("../out", dir.path().join("in/l")).unwrap();
    std::fs::write(dir.path().join("in/f"), "").unwrap();
    let base = Dir::open(&dir.path().join("in")).unwrap();
    assert!(!remove(&base, b"l/x").unwrap());
    assert!(!remove(&base, b"f/x").unwrap());
    assert!(remove(&base, b"../out").is_err());
    assert!(remove(&base, b"").is_err());
    assert!(remove(&base, b"d").unwrap());
    assert!(remove(&base, b"l").unwrap());
    assert!(!remove(&base, b"l").unwrap());
    assert!(dir.path().join("out/x").exists());
}
