//! Where entries go, and where not.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

use banger_archive::pack::{Memory, PackError, Packer, Packing, name_of};
use banger_archive::unpack::{Destination, LastLink, UnpackError, Unpacking, remove};
use banger_archive::{Entry, EntryKind, Writer};
use banger_hostfs::Dir;
use banger_inode::{Meta, Timestamp};

use crate::both::{packed, unpacked};

fn entry(name: &[u8], kind: EntryKind) -> Entry {
    Entry {
        name: name.to_vec(),
        meta: Meta::new(0o4777, Timestamp { secs: 1, nanos: 2 }),
        kind,
    }
}

pub(crate) fn file(name: &[u8]) -> Entry {
    let whole = banger_inode::Segment { offset: 0, len: 4 };
    entry(
        name,
        EntryKind::File {
            size: 4,
            segments: vec![whole],
        },
    )
}

pub(crate) fn tar(entries: &[Entry]) -> Vec<u8> {
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
