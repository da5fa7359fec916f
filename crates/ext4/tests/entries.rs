//! Every kind of entry, written, checked by e2fsck and read back through the kernel.

mod host;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::ExitCode;

use banger_ext4::{DeviceKind, Error, ImageWriter, Kind, Meta, PathFault, Segment, Timestamp, Xattr};
use banger_needs::{Need, tests};
use host::{Mounted, image, look, meta, walk, xattr};

fn file(writer: &mut ImageWriter, path: &str, content: &[u8]) {
    writer
        .file(
            path.as_bytes(),
            meta(0o644),
            content.len() as u64,
            &mut &content[..],
        )
        .unwrap();
}

fn below(mounted: &Mounted, name: &[u8]) -> std::path::PathBuf {
    mounted.path().join(OsStr::from_bytes(name))
}

fn an_empty_image_is_small_and_clean() {
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

fn every_kind_of_entry_reads_back_as_it_was_given() {
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

fn names_are_bytes_of_any_kind() {
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

fn times_of_all_centuries_keep_their_nanoseconds() {
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

fn with_xattrs(xattrs: &[(&str, &[u8])]) -> Meta {
    let xattrs = xattrs.iter().map(|(name, value)| Xattr {
        name: name.as_bytes().into(),
        value: value.to_vec(),
    });
    Meta {
        xattrs: xattrs.collect(),
        ..meta(0o755)
    }
}

fn attributes_of_all_sizes_and_namespaces_read_back() {
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

fn later_entries_replace_earlier_ones_and_free_their_blocks() {
    let data = vec![b'd'; 1 << 20];
    let image = image(|writer| {
        file(writer, "file-over-file", &data);
        file(writer, "file-over-file", b"new");
        file(writer, "tree/a/b/c", &data);
        file(writer, "tree", b"was a tree");
        file(writer, "becomes/..tree", &data);
        file(writer, "file", &data);
        writer.directory(b"file", meta(0o700)).unwrap();
        file(writer, "file/below", b"below");
        file(writer, "linked", &data);
        writer.hard_link(b"kept", b"linked").unwrap();
        assert!(writer.remove(b"linked").unwrap());
        assert!(!writer.remove(b"linked").unwrap());
        assert!(writer.remove(b"becomes").unwrap());
        file(writer, "dir/inner", b"inner");
        writer.hard_link(b"dir", b"dir/inner").unwrap();
        file(writer, "self", b"self");
        writer.hard_link(b"self", b"self").unwrap();
        file(writer, "last", &data);
        assert_eq!(writer.lookup(b"tree"), Some(Kind::File));
        assert_eq!(writer.lookup(b"tree/a"), None);
        assert_eq!(writer.names(b"file"), [b"below"]);
    });
    assert!(image.summary.free_blocks < 900, "{:?}", image.summary);
    assert_eq!(image.summary.data_blocks, 2 * 256 + 5);
    let mounted = Mounted::new(&image.path, "ro");
    let seen = walk(mounted.path());
    assert_eq!(fs::read(mounted.path().join("file-over-file")).unwrap(), b"new");
    assert_eq!(fs::read(mounted.path().join("tree")).unwrap(), b"was a tree");
    assert_eq!(fs::read(mounted.path().join("kept")).unwrap(), data);
    assert_eq!(fs::read(mounted.path().join("last")).unwrap(), data);
    assert_eq!(fs::read(mounted.path().join("dir")).unwrap(), b"inner");
    assert_eq!(seen[&b"kept"[..]].links, 1);
    assert_eq!(seen[&b"self"[..]].links, 1);
    assert!(!seen.contains_key(&b"linked"[..]) && !seen.contains_key(&b"becomes"[..]));
}

fn a_file_whose_data_ends_early_leaves_what_was_there() {
    let image = image(|writer| {
        file(writer, "file", b"old");
        let error = writer
            .file(b"file", meta(0o644), 9000, &mut &[1; 8999][..])
            .unwrap_err();
        assert!(
            matches!(
                error,
                Error::Truncated {
                    expected: 9000,
                    got: 8999,
                    ..
                }
            ),
            "{error}"
        );
        file(writer, "other", b"other");
    });
    let mounted = Mounted::new(&image.path, "ro");
    assert_eq!(fs::read(mounted.path().join("file")).unwrap(), b"old");
    assert_eq!(fs::read(mounted.path().join("other")).unwrap(), b"other");
}

fn a_users_own_lost_and_found_stays() {
    let image = image(|writer| {
        writer.directory(b"lost+found", meta(0o755)).unwrap();
        file(writer, "lost+found/kept", b"kept");
    });
    let mounted = Mounted::new(&image.path, "ro");
    assert_eq!(look(&mounted.path().join("lost+found")).mode, 0o755);
    assert_eq!(look(&mounted.path().join("lost+found")).inode, 11);
    assert_eq!(fs::read(mounted.path().join("lost+found/kept")).unwrap(), b"kept");
}

fn sparse_segments_land_where_they_belong() {
    let segments = [
        Segment {
            offset: 512,
            len: 512,
        },
        Segment {
            offset: 1 << 20,
            len: 8192,
        },
        Segment {
            offset: (1 << 30) - 10,
            len: 10,
        },
    ];
    let data = vec![b's'; 512 + 8192 + 10];
    let image = image(|writer| {
        writer
            .file_segments(b"sparse", meta(0o600), 1 << 30, &segments, &mut &data[..])
            .unwrap();
        writer
            .file_segments(b"hole", meta(0o600), 5 << 30, &[], &mut std::io::empty())
            .unwrap();
    });
    assert_eq!(image.summary.data_blocks, 4);
    let mounted = Mounted::new(&image.path, "ro");
    let content = fs::read(mounted.path().join("sparse")).unwrap();
    let mut expected = vec![0; 1 << 30];
    for segment in segments {
        expected[segment.offset as usize..][..segment.len as usize].fill(b's');
    }
    assert!(content == expected);
    assert_eq!(look(&mounted.path().join("hole")).size, 5 << 30);
}

fn what_cannot_be_stored_is_refused_and_leaves_a_clean_image() {
    let image = image(|writer| {
        let refused = |result: Result<(), Error>| result.unwrap_err().to_string();
        file(writer, "file", b"x");
        let mut nothing = std::io::empty();
        let fault = |error: Error| {
            matches!(
                error,
                Error::InvalidPath {
                    fault: PathFault::Parent,
                    ..
                }
            )
        };
        assert!(fault(
            writer.file(b"a/../b", meta(0o644), 0, &mut nothing).unwrap_err()
        ));
        let below = writer.file(b"file/below", meta(0o644), 1, &mut &b"x"[..]);
        assert_eq!(
            refused(below),
            "`file/below` lies below something that is not a directory"
        );
        assert!(matches!(writer.fifo(b"/", meta(0o600)), Err(Error::Root)));
        assert!(matches!(writer.remove(b"."), Err(Error::Root)));
        assert!(matches!(
            writer.hard_link(b"h", b"none"),
            Err(Error::MissingLinkTarget { .. })
        ));
        writer.directory(b"dir", meta(0o755)).unwrap();
        assert!(matches!(
            writer.hard_link(b"h", b"dir"),
            Err(Error::LinkToDirectory { .. })
        ));
        assert!(matches!(
            writer.symlink(b"s", b"", meta(0o777)),
            Err(Error::InvalidTarget { len: 0, .. })
        ));
        assert!(matches!(
            writer.symlink(b"s", &[b'x'; 4096], meta(0o777)),
            Err(Error::InvalidTarget { .. })
        ));
        let device = writer.device(b"d", DeviceKind::Char, 4096, 0, meta(0o600));
        assert!(matches!(device, Err(Error::InvalidDevice { .. })));
        let foreign = with_xattrs(&[("com.apple.quarantine", b"x")]);
        assert!(matches!(
            writer.fifo(b"x", foreign),
            Err(Error::InvalidXattrName { .. })
        ));
        let acl = with_xattrs(&[("system.posix_acl_access", b"nonsense")]);
        assert!(matches!(writer.fifo(b"x", acl), Err(Error::InvalidAcl { .. })));
        let large = with_xattrs(&[("user.large", &[0; 4090])]);
        assert!(matches!(
            writer.fifo(b"x", large),
            Err(Error::XattrsTooLarge { .. })
        ));
    });
    let mounted = Mounted::new(&image.path, "ro");
    let names: Vec<_> = walk(mounted.path()).into_keys().collect();
    assert_eq!(names, [&b"dir"[..], b"file", b"lost+found"]);
}

fn the_limit_is_kept() {
    let directory = tempfile::TempDir::new().unwrap();
    let small = |name: &str| {
        let file = fs::File::create_new(directory.path().join(name)).unwrap();
        ImageWriter::create(
            file,
            banger_ext4::Options {
                max_bytes: 1 << 20,
                ..host::options()
            },
        )
        .unwrap()
    };
    let mut writer = small("content");
    let full = writer
        .file(b"f", meta(0o644), 1 << 20, &mut std::io::repeat(1))
        .unwrap_err();
    assert!(matches!(full, Error::ImageFull { max_bytes: 1048576 }));
    writer
        .file(b"f", meta(0o644), 990 << 10, &mut std::io::repeat(1))
        .unwrap();
    writer.finish().unwrap();
    check_path(&directory.path().join("content"));
    let mut writer = small("inodes");
    for n in 0..5000 {
        writer.fifo(format!("{n}").as_bytes(), meta(0o600)).unwrap();
    }
    assert!(matches!(writer.finish(), Err(Error::ImageFull { .. })));
}

fn check_path(path: &Path) {
    host::check(path);
}

fn the_same_entries_in_any_order_give_the_same_metadata_and_the_same_calls_the_same_bytes() {
    let fill = |writer: &mut ImageWriter| {
        file(writer, "b/two", &[2; 5000]);
        file(writer, "a/one", &[1; 5000]);
        writer
            .directory(b"c", with_xattrs(&[("user.large", &[7; 2000])]))
            .unwrap();
        writer.remove(b"b/two").unwrap();
    };
    let (first, second) = (image(fill), image(fill));
    assert!(fs::read(&first.path).unwrap() == fs::read(&second.path).unwrap());
}

fn main() -> ExitCode {
    let mounts = [Need::Root, Need::LoopDevices];
    banger_needs::run(
        None,
        &[
            (
                &[],
                tests![
                    the_limit_is_kept,
                    the_same_entries_in_any_order_give_the_same_metadata_and_the_same_calls_the_same_bytes,
                ],
            ),
            (
                &mounts,
                tests![
                    an_empty_image_is_small_and_clean,
                    every_kind_of_entry_reads_back_as_it_was_given,
                    names_are_bytes_of_any_kind,
                    times_of_all_centuries_keep_their_nanoseconds,
                    attributes_of_all_sizes_and_namespaces_read_back,
                    later_entries_replace_earlier_ones_and_free_their_blocks,
                    a_file_whose_data_ends_early_leaves_what_was_there,
                    a_users_own_lost_and_found_stays,
                    sparse_segments_land_where_they_belong,
                    what_cannot_be_stored_is_refused_and_leaves_a_clean_image,
                ],
            ),
        ],
    )
}
