//! What the writer does when entries come again, end early, are sparse or refused.

use std::fs;
use std::path::Path;

use banger_ext4::{DeviceKind, Error, ImageWriter, Kind, PathFault, Segment};

use crate::giving::{file, with_xattrs};
use crate::host;
use crate::host::{Mounted, image, look, meta, walk};

pub(crate) fn later_entries_replace_earlier_ones_and_free_their_blocks() {
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

pub(crate) fn a_file_whose_data_ends_early_leaves_what_was_there() {
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

pub(crate) fn a_users_own_lost_and_found_stays() {
    let image = image(|writer| {
        writer.directory(b"lost+found", meta(0o755)).unwrap();
        file(writer, "lost+found/kept", b"kept");
    });
    let mounted = Mounted::new(&image.path, "ro");
    assert_eq!(look(&mounted.path().join("lost+found")).mode, 0o755);
    assert_eq!(look(&mounted.path().join("lost+found")).inode, 11);
    assert_eq!(fs::read(mounted.path().join("lost+found/kept")).unwrap(), b"kept");
}

pub(crate) fn sparse_segments_land_where_they_belong() {
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

pub(crate) fn what_cannot_be_stored_is_refused_and_leaves_a_clean_image() {
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

pub(crate) fn the_limit_is_kept() {
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

pub(crate) fn the_same_entries_in_any_order_give_the_same_metadata_and_the_same_calls_the_same_bytes() {
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
