use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags};

use super::*;

/// A directory `in` with a tree, beside a secret that nothing in it may reach.
fn tree() -> (tempfile::TempDir, Dir) {
    let whole = tempfile::tempdir().unwrap();
    let at = whole.path();
    std::fs::create_dir_all(at.join("in/a/b")).unwrap();
    std::fs::create_dir(at.join("out")).unwrap();
    std::fs::write(at.join("out/secret"), "secret").unwrap();
    std::fs::write(at.join("in/a/b/file"), "text").unwrap();
    symlink("../out", at.join("in/up")).unwrap();
    symlink(at.join("out"), at.join("in/a/absolute")).unwrap();
    symlink("b", at.join("in/a/inner")).unwrap();
    symlink("../../../out/secret", at.join("in/a/b/last")).unwrap();
    symlink("/proc/self/root", at.join("in/magic")).unwrap();
    rustix::fs::mkfifoat(CWD, at.join("in/a/pipe"), Mode::RUSR | Mode::WUSR).unwrap();
    let dir = Dir::open(&at.join("in")).unwrap();
    (whole, dir)
}

/// Paths that lead out or through a link, with a name for each.
const LEADING: &[(&str, &str)] = &[
    ("relative-link", "up/secret"),
    ("absolute-link", "a/absolute/secret"),
    ("link-within", "a/inner/file"),
    ("link-to-magic-link", "magic/etc/passwd"),
    ("climbing", "../out/secret"),
    ("climbing-later", "a/../../out/secret"),
    ("climbing-within", "a/b/../b/file"),
    ("absolute", "/etc/passwd"),
];

#[test]
fn nothing_is_read_through_a_link_or_outside() {
    let (_whole, dir) = tree();
    let links = [("link-last", "a/b/last"), ("link-to-directory", "up")];
    for (name, path) in LEADING.iter().chain(&links) {
        assert!(dir.read(path, 1 << 20).is_err(), "{path}");
        banger_cases::refused("host-files", &format!("hostfs.read.{name}"));
    }
    assert_eq!(dir.read("a/b/file", 4).unwrap(), b"text");
    assert!(matches!(dir.read("a/b/file", 3), Err(Error::TooMuch { .. })));
    assert!(dir.look("a/b/none").unwrap_err().is_absent());
    assert_eq!(
        dir.look("a/b/last").unwrap().target().unwrap(),
        b"../../../out/secret"
    );
}

#[test]
fn nothing_is_written_through_a_link_or_outside() {
    let (whole, dir) = tree();
    for (name, path) in LEADING {
        let made = Path::new(path).with_file_name("made");
        assert!(dir.make_dir(&made, 0o700).is_err(), "{path}");
        assert!(dir.symlink(b"x", &made).is_err(), "{path}");
        assert!(dir.unlink(path).is_err(), "{path}");
        assert!(dir.remove(path).is_err(), "{path}");
        banger_cases::refused("host-files", &format!("hostfs.write.{name}"));
    }
    // A link itself is removed, and not what it leads to.
    dir.remove("up").unwrap();
    dir.remove("a").unwrap();
    let secret = std::fs::read(whole.path().join("out/secret")).unwrap();
    assert_eq!(secret, b"secret");
    assert_eq!(std::fs::read_dir(whole.path().join("out")).unwrap().count(), 1);
}

#[test]
fn without_openat2_it_is_the_same() {
    let (_whole, dir) = tree();
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    for (name, path) in &LEADING[..4] {
        let parts = resolve::parts(Path::new(path)).unwrap();
        let opened = resolve::stepwise(std::os::fd::AsFd::as_fd(&dir), &parts, flags, Mode::empty());
        assert_eq!(opened.unwrap_err(), rustix::io::Errno::LOOP, "{path}");
        assert!(dir.look(path).unwrap_err().is_link(), "{path}");
        banger_cases::refused("host-files", &format!("hostfs.stepwise.{name}"));
    }
    let parts = resolve::parts(Path::new("a/b/file")).unwrap();
    resolve::stepwise(std::os::fd::AsFd::as_fd(&dir), &parts, flags, Mode::empty()).unwrap();
}

#[test]
fn what_is_no_file_is_not_opened() {
    let (_whole, dir) = tree();
    let opened = dir.file("a/pipe");
    assert!(matches!(opened, Err(Error::Kind { kind: Kind::Fifo, .. })));
    banger_cases::refused("host-files", "hostfs.fifo");
    assert!(matches!(
        dir.file("a"),
        Err(Error::Kind {
            kind: Kind::Directory,
            ..
        })
    ));
    let devices = Dir::open(Path::new("/dev")).unwrap();
    assert!(matches!(
        devices.file("zero"),
        Err(Error::Kind {
            kind: Kind::CharDevice,
            ..
        })
    ));
    banger_cases::refused("host-files", "hostfs.device");
}

#[test]
fn a_file_gets_its_name_when_it_is_whole_in_place_of_a_link_itself() {
    let (whole, dir) = tree();
    let below = dir.dir("a/b").unwrap();
    let mut fresh = below.fresh().unwrap();
    fresh.file().write_all(b"new").unwrap();
    fresh.name(OsStr::new("last"), false).unwrap();
    assert_eq!(dir.read("a/b/last", 10).unwrap(), b"new");
    let secret = std::fs::read(whole.path().join("out/secret")).unwrap();
    assert_eq!(secret, b"secret");
    drop(below.fresh().unwrap());
    assert_eq!(below.entries().unwrap(), ["file", "last"]);
    assert!(below.fresh().unwrap().name(OsStr::new("../x"), false).is_err());
}

#[test]
fn a_file_does_not_take_the_place_of_a_device() {
    let (_whole, dir) = tree();
    let below = dir.dir("a/b").unwrap();
    // The one device that anybody may make (mknod(2)).
    below
        .node("device", rustix::fs::FileType::CharacterDevice, 0)
        .unwrap();
    for replace in [false, true] {
        let named = below.fresh().unwrap().name(OsStr::new("device"), replace);
        assert!(matches!(
            named,
            Err(Error::Kind {
                kind: Kind::CharDevice,
                ..
            })
        ));
    }
    assert_eq!(below.kind("device").unwrap(), Some(Kind::CharDevice));
    assert_eq!(below.entries().unwrap(), ["device", "file", "last"]);
    banger_cases::refused("host-files", "hostfs.in-place-of-a-device");
}

#[test]
fn a_directory_stays_the_one_that_was_opened() {
    let (whole, dir) = tree();
    let below = dir.dir("a/b").unwrap();
    std::fs::rename(whole.path().join("in/a"), whole.path().join("moved")).unwrap();
    symlink("../out", whole.path().join("in/a")).unwrap();
    below.make_dir("made", 0o700).unwrap();
    assert!(whole.path().join("moved/b/made").is_dir());
    assert!(dir.dir("a").unwrap_err().is_link());
    banger_cases::refused("host-files", "hostfs.swapped-directory");
}

#[test]
fn the_directory_around_a_path_and_its_name() {
    let (whole, _dir) = tree();
    let around = |path: &str| Dir::around(&whole.path().join(path)).unwrap();
    for path in ["in/a", "in/a/", "in/a//"] {
        assert_eq!(around(path).unwrap().1, "a", "{path}");
    }
    assert!(around("in/..").is_none() && around("in/.").is_none());
    assert!(Dir::around(Path::new("/")).unwrap().is_none());
    assert!(Dir::around(Path::new("")).unwrap().is_none());
}

#[test]
fn a_path_that_begins_elsewhere_is_no_path_below() {
    let (_whole, dir) = tree();
    for path in ["/a/b/file", "/a", "/"] {
        assert!(
            matches!(dir.make_dir(path, 0o700), Err(Error::Outside(_))),
            "{path}"
        );
        assert!(dir.look(path).is_err(), "{path}");
    }
}

#[test]
fn the_owner_of_a_link_is_set_and_not_that_of_where_it_leads() {
    let (whole, dir) = tree();
    symlink("nowhere", whole.path().join("in/dangling")).unwrap();
    let (uid, gid) = (
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw(),
    );
    dir.set_owner("dangling", uid, gid).unwrap();
}
