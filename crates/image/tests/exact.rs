//! Trees that are hard to get right, packed with GNU tar in every way it has: what the image shows when it is mounted
//! must be what GNU tar unpacks, in every attribute that a program can see. Needs root, to make devices and to mount.

mod host;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use banger_image::{ImageStore, ImportOptions, ImportSource};
use banger_needs::{Need, tests};
use host::ext4::{Mounted, check};
use host::{CAPABILITY, acl, assert_same, has_all_holes, shown};
use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps};

/// A tree in the making.
struct Tree {
    root: PathBuf,
    /// Times are set last: making entries changes those of directories.
    times: Vec<(PathBuf, i64, i64)>,
}

impl Tree {
    fn at(&self, name: impl AsRef<[u8]>) -> PathBuf {
        self.root.join(OsStr::from_bytes(name.as_ref()))
    }

    fn dir(&mut self, name: &str, mode: u32) {
        fs::create_dir_all(self.at(name)).unwrap();
        self.mode(name, mode);
    }

    fn mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.at(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn file(&self, name: impl AsRef<[u8]>, content: &[u8]) {
        fs::write(self.at(name), content).unwrap();
    }

    /// A file with data, never a block of zeros, at some offsets.
    fn sparse(&self, name: &str, size: u64, parts: impl IntoIterator<Item = (u64, usize)>) {
        let file = File::create(self.at(name)).unwrap();
        for (offset, len) in parts {
            let data: Vec<u8> = (0..len).map(|at| (at % 251) as u8 + 1).collect();
            file.write_all_at(&data, offset).unwrap();
        }
        file.set_len(size).unwrap();
        file.sync_all().unwrap();
    }

    fn link(&self, target: impl AsRef<[u8]>, name: &str) {
        std::os::unix::fs::symlink(OsStr::from_bytes(target.as_ref()), self.at(name)).unwrap();
    }

    fn hard_link(&self, existing: &str, name: &str) {
        fs::hard_link(self.at(existing), self.at(name)).unwrap();
    }

    fn node(&self, name: &str, kind: FileType, major: u32, minor: u32) {
        let number = rustix::fs::makedev(major, minor);
        rustix::fs::mknodat(CWD, self.at(name), kind, Mode::from_raw_mode(0o640), number).unwrap();
    }

    fn own(&self, name: &str, uid: u32, gid: u32) {
        std::os::unix::fs::lchown(self.at(name), Some(uid), Some(gid)).unwrap();
    }

    fn xattr(&self, name: &str, key: &str, value: &[u8]) {
        xattr::set(self.at(name), key, value).unwrap_or_else(|error| panic!("{key} of {name}: {error}"));
    }

    fn time(&mut self, name: &str, secs: i64, nanos: i64) {
        self.times.push((self.at(name), secs, nanos));
    }

    fn finish(&self) {
        for (path, secs, nanos) in &self.times {
            let time = Timespec {
                tv_sec: *secs,
                tv_nsec: *nanos,
            };
            let times = Timestamps {
                last_access: time,
                last_modification: time,
            };
            rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
        }
    }
}

/// What every format of tar can hold.
fn plain(tree: &mut Tree) {
    tree.dir("d", 0o755);
    tree.dir("d/sticky", 0o1777);
    tree.dir("d/setgid", 0o2750);
    tree.dir("d/closed", 0o000);
    for (name, size) in [
        ("empty", 0),
        ("one", 1),
        ("block", 4096),
        ("more", 5000),
        ("many", 3 << 20),
    ] {
        let content: Vec<u8> = (0..size).map(|at| (at % 253) as u8 + 1).collect();
        tree.file(format!("d/{name}"), &content);
    }
    tree.own("d/block", 1000, 100);
    tree.own("d/more", 0o7_777_777, 0o7_777_777);
    for (name, mode) in [
        ("one", 0o4755),
        ("block", 0o6711),
        ("more", 0o1000),
        ("empty", 0o000),
    ] {
        tree.mode(&format!("d/{name}"), mode);
    }
    tree.file("new\nline \\ \" 'quoted' *", b"x");
    tree.file(b"latin-\xE4\xF6\xFC\xFF", b"x");
    tree.file("-dash", b"x");
    tree.link("d/one", "link");
    tree.link("/nowhere at all", "dangling");
    tree.link(b"\xFF\xFE", "latin-target");
    tree.link("t".repeat(100), "d/target-100");
    tree.own("link", 12, 34);
    tree.hard_link("d/many", "many-2");
    tree.hard_link("d/many", "d/sticky/many-3");
    tree.hard_link("link", "d/link-2");
    tree.node("fifo", FileType::Fifo, 0, 0);
    tree.node("null", FileType::CharacterDevice, 1, 3);
    tree.node("disk", FileType::BlockDevice, 259, 65_537);
    tree.own("null", 5, 6);
    tree.sparse("whole-hole", 1 << 20, []);
    tree.sparse("hole-first", 300_000, [(200_704, 99_296)]);
    tree.sparse("hole-last", 1 << 22, [(0, 5000)]);
    tree.time("d/sticky", 1_000_000_000, 0);
    tree.time("d", 0, 0);
    tree.time("d/one", 0o77_777_777_777, 0);
    tree.time("link", 1_234_567_890, 0);
}

/// What only GNU's and pax archives hold.
fn nasty(tree: &mut Tree) {
    plain(tree);
    tree.own("d/one", u32::MAX - 1, 3_000_000_000);
    tree.mode("d/one", 0o4755);
    tree.dir("long", 0o700);
    tree.file(format!("long/{}", "n".repeat(255)), b"255");
    tree.file([&b"long/"[..], &[0xFE; 255]].concat(), b"not text");
    let deep = vec!["p".repeat(200); 16].join("/");
    tree.dir(&format!("long/{deep}"), 0o711);
    tree.file(format!("long/{deep}/bottom"), b"deep");
    tree.hard_link(&format!("long/{deep}/bottom"), "bottom");
    for len in [59, 60, 101, 255, 1000, 4095] {
        tree.link("s".repeat(len), &format!("long/target-{len}"));
    }
    tree.sparse("fragments", 8 << 20, (0..150).map(|part| (part * 40_960, 4096)));
    tree.sparse(
        "uneven",
        1_000_001,
        [(10_000, 3), (500_000, 10_000), (1_000_000, 1)],
    );
    tree.sparse("far", 20 << 30, [(9 << 30, 1), ((20 << 30) - 1, 1)]);
    tree.hard_link("uneven", "d/uneven-2");
    tree.time("d/empty", -2, 750_000_000);
    tree.time("d/more", -1, 1);
    tree.time("d/block", 1_700_000_000, 123_456_789);
    tree.time("d/setgid", -2_000_000_000, 999_999_999);
    tree.time("d/many", 10_000_000_000, 1);
    tree.time("dangling", 1_600_000_000, 100);
    tree.time("null", -1, 0);
    attributes(tree);
}

fn attributes(tree: &mut Tree) {
    tree.xattr("d/one", "user.text", b"value");
    tree.xattr("d/one", "user.binary", &(0..=255).collect::<Vec<u8>>());
    tree.xattr("d/one", "user.empty", b"");
    tree.xattr("d/one", "user.lines", b"\n\n12 path=x\n");
    tree.xattr("d/one", "user.a=b%c%3D", b"=");
    tree.xattr("d/more", &format!("user.{}", "n".repeat(200)), &[b'v'; 3000]);
    tree.xattr("d/sticky", "trusted.opaque", b"y");
    tree.xattr("dangling", "trusted.of-a-link", b"l");
    tree.file("d/ping", b"#!");
    tree.xattr("d/ping", "security.capability", &CAPABILITY);
    tree.xattr("uneven", "user.sparse", b"too");
    tree.xattr("d/block", "system.posix_acl_access", &acl());
    tree.xattr("d/setgid", "system.posix_acl_access", &acl());
    tree.xattr("d/setgid", "system.posix_acl_default", &acl());
}

fn gnu_tar(arguments: &[&str], archive: &Path, directory: &Path, names: &[&str]) {
    let output = Command::new("tar")
        .args(arguments)
        .arg("-f")
        .arg(archive)
        .arg("-C")
        .arg(directory)
        .args(names)
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "tar {arguments:?}: {said}");
}

/// Imports an archive and mounts the image.
fn mounted(directory: &Path, name: &str, archive: &Path) -> Mounted {
    let store = ImageStore::open(&directory.join("store")).unwrap();
    let record = store
        .import(
            &name.parse().unwrap(),
            ImportSource::File(archive),
            &ImportOptions::default(),
            &mut |_, _| ControlFlow::Continue(()),
        )
        .unwrap();
    check(&record.layers[0].path);
    Mounted::new(&record.layers[0].path, "ro")
}

/// Packs a tree in some ways; image and GNU tar must agree about each, and both with the tree if `whole`.
fn compare(make: fn(&mut Tree), ways: &[(&str, &[&str])], whole: fn(&str) -> bool) {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("tree");
    fs::create_dir(&root).unwrap();
    let mut tree = Tree {
        root,
        times: Vec::new(),
    };
    make(&mut tree);
    let _socket = std::os::unix::net::UnixListener::bind(tree.at("socket")).unwrap();
    tree.finish();
    let original = shown(&tree.root);
    for (name, options) in ways {
        let archive = directory.path().join(format!("{name}.tar"));
        gnu_tar(&[&["-c"], *options].concat(), &archive, &tree.root, &["."]);
        let unpacked = directory.path().join(name);
        fs::create_dir(&unpacked).unwrap();
        let mut exactly = vec!["-x", "-p", "--same-owner", "--numeric-owner"];
        exactly.extend(["--xattrs", "--xattrs-include=*"]);
        // Without lists of its own kind in the archive, this would undo those that are attributes.
        exactly.extend(options.iter().filter(|option| **option == "--acls"));
        gnu_tar(&exactly, &archive, &unpacked, &[]);
        let image = mounted(directory.path(), name, &archive);
        let of_image = shown(image.path());
        assert!(has_all_holes(image.path(), &of_image), "{name}");
        assert_same(
            &format!("{name}: image and GNU tar"),
            &of_image,
            &shown(&unpacked),
        );
        if whole(name) {
            assert_same(&format!("{name}: image and tree"), &of_image, &original);
        }
        image.unmount();
    }
}

fn images_of_gnu_and_pax_archives_show_what_was_packed() {
    let all = ["--acls", "--xattrs"];
    let with = |more: &[&'static str]| [&all[..], more].concat();
    let ways = [
        ("pax-1-0", with(&["--format=pax", "--sparse"])),
        ("pax-0-1", with(&["--format=posix", "--sparse-version=0.1"])),
        ("pax-0-0", with(&["--format=posix", "--sparse-version=0.0"])),
        // Holes found by looking at all bytes have other bounds; with the largest file that takes a minute.
        (
            "raw",
            with(&[
                "--format=posix",
                "--sparse",
                "--hole-detection=raw",
                "--exclude=./far",
            ]),
        ),
        // The attributes come in extended headers even so.
        ("gnu-xattrs", vec!["--format=gnu", "--xattrs", "--sparse"]),
        ("gnu", vec!["--format=gnu", "--sparse"]),
        ("oldgnu", vec!["--format=oldgnu", "--sparse"]),
        ("labelled", vec!["--format=gnu", "--sparse", "--label=volume"]),
        ("incremental", vec!["--format=gnu", "--sparse", "--incremental"]),
    ];
    let ways: Vec<(&str, &[&str])> = ways.iter().map(|(name, options)| (*name, &options[..])).collect();
    compare(nasty, &ways, |name| name.starts_with("pax"));
}

fn images_of_old_archives_show_what_was_packed() {
    compare(plain, &[("ustar", &["--format=ustar"])], |_| false);
}

fn paths_may_be_longer_than_linux_takes_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("tree");
    fs::create_dir(&root).unwrap();
    let name = "d".repeat(250);
    let mut at = File::open(&root).unwrap();
    let step = |at: &File| File::from(rustix::fs::openat(at, &name, flags(), Mode::empty()).unwrap());
    for _ in 0..30 {
        rustix::fs::mkdirat(&at, &name, Mode::from_raw_mode(0o755)).unwrap();
        at = step(&at);
    }
    rustix::fs::symlinkat("far away", &at, "bottom").unwrap();
    for format in ["gnu", "pax"] {
        let archive = directory.path().join(format);
        gnu_tar(&["-c", &format!("--format={format}")], &archive, &root, &["."]);
        let image = mounted(directory.path(), format, &archive);
        let mut at = File::open(image.path()).unwrap();
        (0..30).for_each(|_| at = step(&at));
        let target = rustix::fs::readlinkat(&at, "bottom", Vec::new()).unwrap();
        assert_eq!(target.as_bytes(), b"far away");
        // It would keep the image from being unmounted.
        drop(at);
        image.unmount();
    }
}

fn flags() -> rustix::fs::OFlags {
    rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC
}

fn main() -> ExitCode {
    let mounts = [Need::Root, Need::LoopDevices];
    banger_needs::run(
        None,
        &[(
            &mounts,
            tests![
                images_of_gnu_and_pax_archives_show_what_was_packed,
                images_of_old_archives_show_what_was_packed,
                paths_may_be_longer_than_linux_takes_at_once,
            ],
        )],
    )
}
