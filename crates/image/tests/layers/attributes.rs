//! What files keep: every attribute, names, holes; and what no layer says.

use std::fs;

use crate::host::ext4::{Mounted, check};
use crate::host::layers::{Entry, Packing};
use crate::host::stack::{base, compare, layout, look_at, ours, pull_image};
use crate::host::{CAPABILITY, acl, assert_same};
use crate::whiteouts::lower;

pub(crate) fn every_attribute_is_kept() {
    compare(
        &[
            base([
                Entry::dir("d")
                    .mode(0o3775)
                    .xattr("user.dir", b"\0binary\n=\xff")
                    .xattr("system.posix_acl_default", &acl()),
                Entry::file("d/ping", "#!")
                    .mode(0o6755)
                    .xattr("security.capability", &CAPABILITY),
                Entry::file("d/acl", "")
                    .mode(0o770)
                    .xattr("system.posix_acl_access", &acl()),
                Entry::file("d/long", "").xattr(&format!("user.{}", "n".repeat(200)), &[b'v'; 3000]),
                Entry::file("d/far", "").owner(4_000_000_000, 3_000_000_000),
                Entry::file("d/before", "").time(-2, 750_000_000),
                Entry::file("d/just-before", "").time(-1, 1),
                Entry::file("d/long-before", "").time(-2_000_000_000, 999_999_999),
                Entry::file("d/exactly", "").time(1_700_000_000, 123_456_789),
                Entry::symlink("d/link", "t".repeat(255)).owner(7, 8).time(11, 12),
                // Linux knows no other mode of a link than 0777.
                Entry::symlink("d/longer", "t".repeat(2000)).mode(0o600),
                Entry::device(b'3', "d/null", 1, 3)
                    .owner(0, 6)
                    .mode(0o666)
                    .time(-5, 0),
                Entry::device(b'4', "d/disk", 259, 65_537),
                Entry::fifo("d/fifo").mode(0o620).time(3, 500),
                Entry::dir("closed").mode(0),
            ]),
            // They are replaced as a whole.
            vec![
                Entry::file("d/ping", "#!").mode(0o755),
                Entry::dir("closed").mode(0o500).xattr("user.new", b"new"),
                Entry::dir("d").mode(0o755),
            ],
        ],
        &[],
    );
}

pub(crate) fn attributes_that_umoci_loses_are_kept() {
    // umoci passes over empty attributes, and cannot set times after 2262; containerd and GNU tar do both.
    let seen = ours(&[base([
        Entry::file("empty", "").xattr("user.empty", b""),
        Entry::file("trusted", "")
            .xattr("trusted.overlay.metacopy", b"")
            .xattr("trusted.other", b"y"),
        Entry::dir("user")
            .xattr("user.overlay.redirect", b"/x")
            .xattr("user.overlays", b"y"),
        Entry::file("later", "").time(10_000_000_000, 1),
    ])]);
    assert_eq!(seen[&b"empty"[..]].xattrs[&b"user.empty"[..]], b"");
    // A guest's overlay would obey those.
    let names = |path: &[u8]| seen[path].xattrs.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(b"trusted"), [b"trusted.other"]);
    assert_eq!(names(b"user"), [b"user.overlays"]);
    assert_eq!(seen[&b"later"[..]].mtime, (10_000_000_000, 1));
}

pub(crate) fn names_are_any_bytes() {
    compare(
        &[
            base([
                Entry::file("n".repeat(255), "255"),
                Entry::file([0xfe; 255], "255 that are no text"),
                Entry::file(b"latin-\xe4\xf6\xfc", "x"),
                Entry::file("new\nline \\ \" 'quoted' *", "x"),
                Entry::symlink("link", b"\xff\xfe"),
                Entry::dir("p".repeat(200)),
                Entry::file([["p"; 200].concat(), "q".repeat(255)].join("/"), "deep"),
                Entry::file(".wha", "no whiteout"),
                Entry::file("wh.x", "no whiteout"),
            ]),
            vec![
                Entry::file([b".wh.", &[0xfe; 251][..]].concat(), ""),
                Entry::file(b".wh.latin-\xe4\xf6\xfc", ""),
                Entry::hard_link("m".repeat(255), "n".repeat(255)),
            ],
        ],
        &[""],
    );
}

pub(crate) fn sparse_files_are_sparse() {
    let part: Vec<u8> = (1..=200).cycle().take(5000).collect();
    compare(
        &[
            base([
                Entry::sparse("hole", 1 << 20, &[]),
                Entry::sparse("two", 300_000, &[(4096, &part), (200_001, &part[..3])]),
                // Zeros that are written are holes as well.
                Entry::file("zeros", vec![0; 100_000]),
                Entry::file("mixed", [&part[..], &[0; 50_000], &part].concat()),
            ]),
            vec![Entry::sparse("two", 3 << 20, &[((3 << 20) - 1, b"x")])],
        ],
        &[],
    );
}

pub(crate) fn a_file_may_be_much_larger_than_what_it_holds() {
    const SIZE: u64 = 20 << 30;
    // umoci would write all of it.
    let parts: [(u64, &[u8]); 2] = [(9 << 30, b"x"), (SIZE - 1, b"y")];
    let seen = ours(&[base([Entry::sparse("far", SIZE, &parts)])]);
    let far = &seen[&b"far"[..]];
    assert_eq!(far.size, SIZE);
    assert!(far.data.keys().eq(&[(9 << 30) / 4096, SIZE / 4096 - 1]));
}

pub(crate) fn parents_that_no_layer_has_are_made() {
    compare(
        &[
            base([Entry::file("a/b/c", "c"), Entry::symlink("x/y", "z")]),
            vec![],
            vec![Entry::file("a/d/e", "e"), Entry::hard_link("h/i", "a/b/c")],
        ],
        &["", "a", "a/b", "a/d", "h", "x"],
    );
}

pub(crate) fn every_packing_gives_the_same_image() {
    let dir = tempfile::tempdir().unwrap();
    let layers = [
        lower(),
        vec![],
        vec![Entry::whiteout("d/a"), Entry::file("new", "new")],
    ];
    let image = |packing| {
        let layout = layout(dir.path(), &layers, packing);
        look_at(&pull_image(dir.path(), &layout.0).unwrap())
    };
    let gzip = image(Packing::Gzip);
    for packing in [Packing::Plain, Packing::Zstd, Packing::Members] {
        assert_same(&format!("gzip and {packing:?}"), &gzip, &image(packing));
    }
}

pub(crate) fn a_directory_of_100_000_files_is_whole() {
    let many = |range: std::ops::Range<u32>| range.map(|at| Entry::file(format!("d/file-{at}"), ""));
    let dir = tempfile::tempdir().unwrap();
    let gone = (0..1000).map(|at| Entry::whiteout(&format!("d/file-{at}")));
    let layers = [
        many(0..60_000).collect(),
        gone.chain(many(59_000..101_000)).collect(),
    ];
    let layout = layout(dir.path(), &layers, Packing::Zstd);
    let image = pull_image(dir.path(), &layout.0).unwrap();
    check(&image);
    let mounted = Mounted::new(&image, "ro");
    let count = fs::read_dir(mounted.path().join("d")).unwrap().count();
    assert_eq!(count, 100_000);
    assert!(mounted.path().join("d/file-100999").exists() && !mounted.path().join("d/file-999").exists());
    mounted.unmount();
}
