//! Every kind of entry, its name and its attributes, as they were given.

use std::fs;
use std::os::unix::ffi::OsStrExt;

use banger_ext4::{DeviceKind, ImageWriter, Meta, Timestamp};

use crate::giving::{below, file, with_xattrs};
use crate::host::{Mounted, image, look, meta, walk, xattr};

pub(crate) fn an_empty_image_is_small_and_clean() {
    let image = image(|_| {});
    assert!(image.summary.bytes <= 128 * 1024, "{:?}", image.summary);
    let info = banger_ext4::probe(&fs::File::open(&image.path).unwrap()).unwrap();
    assert_eq!(info.label, b"test");
    assert_eq!(info.uuid, *b"banger-test-uuid");
    assert_eq!(info.size, image.summary.bytes);
    assert!(!info.has_journal && !info.needs_recovery && info.clean);
    let mounted = Mounted::new(&image.path, "ro");
    assert_eq!(
        walk(mounted.path()).keys().collect::<Vec<_>>(),
        [&b"lost+found"[..]]
    );
}

/// Writes an entry of every kind.
fn every_kind(writer: &mut ImageWriter) {
    writer.directory(b"", meta(0o751)).unwrap();
    writer
        .directory(
            b"etc",
            Meta {
                uid: 70_000,
                gid: 80_000,
                ..meta(0o2775)
            },
        )
        .unwrap();
    file(writer, "etc/hosts", b"127.0.0.1 localhost\n");
    file(writer, "empty", b"");
    file(writer, "deep/down/here", &[b'x'; 10_000]);
    writer
        .file(
            b"setuid",
            Meta {
                uid: 1,
                gid: 2,
                ..meta(0o6755)
            },
            3,
            &mut &b"abc"[..],
        )
        .unwrap();
    writer.symlink(b"short", b"etc/hosts", meta(0o777)).unwrap();
    writer.symlink(b"fifty-nine", &[b'a'; 59], meta(0o777)).unwrap();
    writer.symlink(b"sixty", &[b'b'; 60], meta(0o777)).unwrap();
    writer.symlink(b"longest", &[b'c'; 4095], meta(0o777)).unwrap();
    writer.hard_link(b"etc/again", b"etc/hosts").unwrap();
    writer.hard_link(b"link-to-link", b"short").unwrap();
    writer
        .device(b"null", DeviceKind::Char, 1, 3, meta(0o666))
        .unwrap();
    writer
        .device(b"disk", DeviceKind::Block, 259, 70_000, meta(0o660))
        .unwrap();
    writer.fifo(b"pipe", meta(0o600)).unwrap();
    writer.socket(b"socket", meta(0o700)).unwrap();
}

pub(crate) fn every_kind_of_entry_reads_back_as_it_was_given() {
    let image = image(every_kind);
    assert_eq!(image.summary.files, 4);
    assert_eq!(image.summary.directories, 5);
    assert_eq!(image.summary.symlinks, 4);
    assert_eq!(image.summary.specials, 4);
    let mounted = Mounted::new(&image.path, "ro");
    let seen = walk(mounted.path());
    let of = |path: &str| seen[path.as_bytes()].clone();
    assert_eq!(look(mounted.path()).mode, 0o751);
    assert_eq!(look(mounted.path()).links, 5);
    assert_eq!(
        (of("etc").mode, of("etc").owner, of("etc").links),
        (0o2775, (70_000, 80_000), 2)
    );
    assert_eq!(
        (of("deep").mode, of("deep").owner, of("deep").links),
        (0o755, (0, 0), 3)
    );
    assert_eq!(of("etc/hosts").mtime, (1_700_000_000, 123_456_789));
    assert_eq!(
        (of("etc/hosts").links, of("etc/hosts").inode),
        (2, of("etc/again").inode)
    );
    assert_eq!(
        (of("short").links, of("short").inode),
        (2, of("link-to-link").inode)
    );
    assert_eq!((of("setuid").mode, of("setuid").owner), (0o6755, (1, 2)));
    assert_eq!(
        fs::read(below(&mounted, b"deep/down/here")).unwrap(),
        [b'x'; 10_000]
    );
    assert_eq!(fs::read(below(&mounted, b"empty")).unwrap(), b"");
    for (name, target) in [
        ("short", &b"etc/hosts"[..]),
        ("fifty-nine", &[b'a'; 59]),
        ("sixty", &[b'b'; 60]),
    ] {
        assert_eq!(
            fs::read_link(below(&mounted, name.as_bytes()))
                .unwrap()
                .as_os_str()
                .as_bytes(),
            target
        );
    }
    let longest = fs::read_link(below(&mounted, b"longest")).unwrap();
    assert_eq!(longest.as_os_str().as_bytes(), [b'c'; 4095]);
    assert_eq!(
        (of("null").kind, of("null").rdev),
        ("char", rustix::fs::makedev(1, 3))
    );
    assert_eq!(
        (of("disk").kind, of("disk").rdev),
        ("block", rustix::fs::makedev(259, 70_000))
    );
    assert_eq!((of("pipe").kind, of("pipe").mode), ("fifo", 0o600));
    assert_eq!((of("socket").kind, of("socket").mode), ("socket", 0o700));
}

pub(crate) fn names_are_bytes_of_any_kind() {
    let longest = vec![b'n'; 255];
    let latin1 = b"caf\xe9".to_vec();
    let odd = b"\x01\n\"\\ \xff".to_vec();
    let image = image(|writer| {
        for name in [&longest, &latin1, &odd] {
            writer.file(name, meta(0o644), 1, &mut &b"x"[..]).unwrap();
            writer
                .file(
                    &[b"in/", name.as_slice()].concat(),
                    meta(0o644),
                    1,
                    &mut &b"y"[..],
                )
                .unwrap();
        }
    });
    let mounted = Mounted::new(&image.path, "ro");
    let seen = walk(mounted.path());
    for name in [&longest, &latin1, &odd] {
        assert!(seen.contains_key(name));
        assert_eq!(
            fs::read(below(&mounted, &[b"in/", name.as_slice()].concat())).unwrap(),
            b"y"
        );
    }
}

pub(crate) fn times_of_all_centuries_keep_their_nanoseconds() {
    let times = [
        (-2_147_483_648, 1),
        (-1, 999_999_999),
        (0, 0),
        (2_147_483_648, 7),
        (15_032_385_535, 8),
    ];
    let image = image(|writer| {
        for (index, &(secs, nanos)) in times.iter().enumerate() {
            let meta = Meta::new(0o600, Timestamp { secs, nanos });
            writer.fifo(format!("t{index}").as_bytes(), meta).unwrap();
        }
    });
    let mounted = Mounted::new(&image.path, "ro");
    for (index, &(secs, nanos)) in times.iter().enumerate() {
        let seen = look(&mounted.path().join(format!("t{index}")));
        assert_eq!(seen.mtime, (secs, i64::from(nanos)));
    }
}

/// Version 2 list: owner rwx, user 1000 r--, group r-x, mask r-x, others none.
const ACL: &[u8] = &[
    2, 0, 0, 0, 1, 0, 7, 0, 255, 255, 255, 255, 2, 0, 4, 0, 0xE8, 3, 0, 0, 4, 0, 5, 0, 255, 255, 255, 255,
    16, 0, 5, 0, 255, 255, 255, 255, 32, 0, 0, 0, 255, 255, 255, 255,
];

/// `cap_net_raw=ep`.
const CAPABILITY: &[u8] = &[1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

pub(crate) fn attributes_of_all_sizes_and_namespaces_read_back() {
    let large = vec![b'v'; 3000];
    let ping = [("security.capability", CAPABILITY)];
    let many: Vec<(String, Vec<u8>)> = (0..40)
        .map(|n| (format!("user.key{n}"), vec![n as u8; n]))
        .collect();
    let many: Vec<(&str, &[u8])> = many
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_slice()))
        .collect();
    let mixed = [
        ("user.large", large.as_slice()),
        ("security.capability", CAPABILITY),
        ("trusted.overlay.opaque", b"y"),
        ("user.empty", b""),
    ];
    let acls = [
        ("system.posix_acl_access", ACL),
        ("system.posix_acl_default", ACL),
    ];
    type Attributes<'a> = &'a [(&'a str, &'a [u8])];
    let cases: [(&str, Attributes<'_>); 4] = [
        ("ping", &ping),
        ("many", &many),
        ("mixed", &mixed),
        ("acls", &acls),
    ];
    let image = image(|writer| {
        for (name, xattrs) in cases {
            writer.directory(name.as_bytes(), with_xattrs(xattrs)).unwrap();
        }
        let meta = with_xattrs(&[("user.twice", b"first"), ("user.twice", b"second")]);
        writer.file(b"twice", meta, 0, &mut std::io::empty()).unwrap();
    });
    let mounted = Mounted::new(&image.path, "ro");
    for (path, xattrs) in cases {
        for (name, value) in xattrs {
            let read = xattr(&mounted.path().join(path), name);
            assert_eq!(read.as_deref(), Some(*value), "{name} of {path}");
        }
    }
    assert_eq!(
        xattr(&mounted.path().join("twice"), "user.twice").unwrap(),
        b"second"
    );
    assert_eq!(xattr(&mounted.path().join("ping"), "user.none"), None);
}
