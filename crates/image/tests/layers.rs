//! Stacks of layers that are hard to get right: what the image shows when it is mounted must be what `umoci unpack` makes
//! of the same layout, in every attribute that a program can see. Needs root, to make devices and to mount, and umoci.
//!
//! umoci 0.4 is old, and where the specification speaks against it the expectation is written out instead, with the
//! paragraph of its `layer.md`.

mod host;

use std::fs;
use std::process::ExitCode;

use banger_needs::{Need, tests};
use host::ext4::{Mounted, check};
use host::layers::{Entry, Packing};
use host::stack::{base, compare, layout, look_at, ours, paths, pull_image};
use host::{CAPABILITY, acl, assert_same};

/// A directory of files, all below `d`.
fn lower() -> Vec<Entry> {
    base([
        Entry::dir("d").mode(0o750).time(1_400_000_000, 1),
        Entry::file("d/a", "lower a"),
        Entry::file("d/b", "lower b").time(1, 999_999_999),
        Entry::dir("d/e"),
        Entry::file("d/e/f", "lower f"),
        Entry::symlink("d/l", "e"),
        Entry::file("top", "lower top"),
    ])
}

fn whiteouts_remove_what_is_below_wherever_they_stand() {
    // Before and after entries of their own layer, in two layers, of what is not there, over a link.
    compare(
        &[
            lower(),
            vec![
                Entry::whiteout("d/a"),
                Entry::file("d/c", "new c"),
                Entry::whiteout("d/b"),
                Entry::whiteout("nothing"),
                Entry::whiteout("no/such/thing"),
            ],
            vec![Entry::whiteout("d/l"), Entry::file("d/a", "again")],
        ],
        &["d"],
    );
    compare(&[lower(), vec![Entry::whiteout("d")]], &[""]);
    compare(&[lower(), vec![Entry::whiteout("d"), Entry::dir("d")]], &[""]);
}

fn whiteouts_spare_what_their_own_layer_has() {
    // "Whiteout files MUST only apply to resources in lower/parent layers."
    compare(
        &[lower(), vec![Entry::file("d/a", "upper"), Entry::whiteout("d/a")]],
        &["d"],
    );
    compare(
        &[
            lower(),
            vec![
                Entry::dir("d").time(7, 7),
                Entry::file("d/e/f", "upper f"),
                Entry::whiteout("d"),
            ],
        ],
        // umoci lets what it removes change the time of `d`, which the layer has; ours is the layer's, see below.
        &["", "d", "d/e"],
    );
    // The whiteout first: what comes after it is new.
    compare(
        &[
            lower(),
            vec![Entry::whiteout("d"), Entry::file("d/e/f", "upper f")],
        ],
        &["", "d", "d/e"],
    );
}

fn opaque_directories_show_only_their_own_layer() {
    let own = [Entry::dir("d").mode(0o700), Entry::file("d/own", "own")];
    let nested = Entry::file("d/e/own", "own");
    // The mark first, in between, and last.
    for at in 0..=2 {
        let mut upper = own.to_vec();
        upper.insert(at, Entry::opaque("d"));
        upper.push(nested.clone());
        compare(&[lower(), upper], &["d", "d/e"]);
    }
    let mut last = own.to_vec();
    last.extend([nested, Entry::opaque("d")]);
    compare(&[lower(), last], &["d", "d/e"]);
    // Of one that is not there, and of one that another whiteout takes.
    compare(
        &[
            lower(),
            vec![Entry::dir("n"), Entry::opaque("n"), Entry::file("n/x", "")],
        ],
        &["", "n"],
    );
    compare(
        &[lower(), vec![Entry::opaque("d/e"), Entry::whiteout("d/a")]],
        &["d", "d/e"],
    );
}

fn an_opaque_root_shows_only_its_own_layer() {
    for mark in [".wh..wh..opq", "./.wh..wh..opq", "/.wh..wh..opq"] {
        for at in 0..=1 {
            let mut upper = vec![Entry::file("own", "own")];
            upper.insert(at, Entry::file(mark, ""));
            let seen = ours(&[lower(), upper]);
            assert_eq!(paths(&seen), ["own"], "{mark}");
        }
    }
}

fn marks_of_aufs_are_not_shown() {
    // As AUFS kept them, and old Docker packed them: hard links may lead to what is in `.wh..wh.plnk`.
    let seen = ours(&[
        base([
            Entry::dir(".wh..wh.plnk"),
            Entry::file(".wh..wh.plnk/1.2", "linked").time(3, 0),
            Entry::hard_link("one", ".wh..wh.plnk/1.2"),
            Entry::hard_link("two", "./.wh..wh.plnk/1.2"),
            Entry::dir(".wh..wh.orph"),
            Entry::file(".wh..wh.orph/x", "lost"),
            Entry::file(".wh..wh.aufs", ""),
            Entry::dir("d"),
            Entry::file("d/.wh..wh.aufs", ""),
        ]),
        vec![
            Entry::dir(".wh..wh.plnk"),
            Entry::file(".wh..wh.plnk/1.2", "other"),
            Entry::hard_link("d/three", ".wh..wh.plnk/1.2"),
        ],
    ]);
    assert_eq!(paths(&seen), ["d", "d/three", "one", "two"]);
    let one = &seen[&b"one"[..]];
    assert_eq!((one.links, one.size, one.mtime), (2, 6, (3, 0)));
    assert_eq!(seen[&b"two"[..]].first, b"one");
    assert_eq!((seen[&b"d/three"[..]].links, seen[&b"d/three"[..]].size), (1, 5));
}

fn kinds_change_and_change_back() {
    let kinds: [fn() -> Vec<Entry>; 6] = [
        || vec![Entry::dir("x").mode(0o711), Entry::file("x/in", "in")],
        || vec![Entry::file("x", "a file")],
        || vec![Entry::symlink("x", "y")],
        || vec![Entry::symlink("x", "nowhere")],
        || vec![Entry::device(b'3', "x", 1, 3)],
        || vec![Entry::fifo("x").owner(1, 2)],
    ];
    let beside = || base([Entry::dir("y"), Entry::file("y/kept", "kept")]);
    for first in kinds {
        for second in kinds {
            compare(
                &[beside(), first(), second(), first()],
                &["", "x", "y"]
                    .into_iter()
                    .filter(|path| *path != "x" || first()[0].flag == b'5')
                    .collect::<Vec<_>>(),
            );
        }
    }
    // Within one layer.
    compare(
        &[
            beside(),
            vec![
                Entry::file("x", "1"),
                Entry::dir("x"),
                Entry::file("x/2", "2"),
                Entry::symlink("x", "y"),
                Entry::dir("x"),
                Entry::file("x/3", "3"),
            ],
        ],
        &["", "x"],
    );
}

fn symbolic_links_lead_on_to_where_lower_layers_have_directories() {
    compare(
        &[
            base([
                Entry::dir("usr"),
                Entry::dir("usr/lib"),
                Entry::symlink("lib", "usr/lib"),
                Entry::symlink("usr/lib64", "/lib"),
                Entry::symlink("up", "../../../usr/../lib"),
                Entry::file("usr/lib/old", "old"),
                Entry::file("usr/lib/gone", "gone"),
            ]),
            vec![
                Entry::file("lib/new", "new"),
                Entry::file("usr/lib64/newer", "newer"),
                Entry::hard_link("lib/linked", "usr/lib64/old"),
                Entry::dir("up/dir"),
                Entry::symlink("lib/newest", "new"),
            ],
            vec![
                Entry::file("up/dir/deep", "deep"),
                Entry::file("lib/old", "newer old"),
            ],
        ],
        &["usr/lib", "usr/lib/dir"],
    );
}

/// Every order of a layer's entries, of which there are few.
fn permutations(entries: &[Entry]) -> Vec<Vec<Entry>> {
    if entries.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for first in 0..entries.len() {
        let mut rest = entries.to_vec();
        let one = rest.remove(first);
        all.extend(permutations(&rest).into_iter().map(|mut rest| {
            rest.insert(0, one.clone());
            rest
        }));
    }
    all
}

fn marks_never_go_through_links_in_any_order() {
    let lower = base([
        Entry::dir("real"),
        Entry::file("real/a", "a"),
        Entry::file("real/bar", "bar"),
        Entry::symlink("link", "real"),
        Entry::dir("foo"),
        Entry::file("foo/bar", "lower"),
    ]);
    let below: &[&str] = &["foo", "foo/bar", "link", "real", "real/a", "real/bar"];
    let cases: [(&str, Vec<Entry>, &[&str]); 8] = [
        // An opaque mark says that its directory is one of the layer: it takes the link's place.
        (
            "opaque-through-lower-link",
            vec![Entry::opaque("link"), Entry::file("link/new", "new")],
            &["foo", "foo/bar", "link", "link/new", "real", "real/a", "real/bar"],
        ),
        (
            "opaque-on-a-link-with-nothing-new",
            vec![Entry::opaque("link")],
            below,
        ),
        // The lower layer has no `link/a`.
        (
            "whiteout-through-lower-link",
            vec![Entry::whiteout("link/a")],
            below,
        ),
        (
            "whiteout-deep-behind-a-lower-link",
            vec![Entry::whiteout("link/a/b"), Entry::file("top", "")],
            &["foo", "foo/bar", "link", "real", "real/a", "real/bar", "top"],
        ),
        // The layer's own link, beside a mark for what lower layers have there.
        (
            "whiteout-beside-own-link",
            vec![Entry::symlink("foo", "real"), Entry::whiteout("foo/bar")],
            &["foo", "link", "real", "real/a", "real/bar"],
        ),
        (
            "opaque-beside-own-link",
            vec![Entry::symlink("foo", "real"), Entry::opaque("foo")],
            &["foo", "link", "real", "real/a", "real/bar"],
        ),
        // A directory of the layer in the place of a link, wherever it stands.
        (
            "directory-over-link",
            vec![
                Entry::file("link/b", "b"),
                Entry::dir("link"),
                Entry::file("link/c", "c"),
            ],
            &[
                "foo", "foo/bar", "link", "link/b", "link/c", "real", "real/a", "real/bar",
            ],
        ),
        (
            "hard-links-before-what-they-lead-to",
            vec![
                Entry::hard_link("h1", "h2"),
                Entry::hard_link("h2", "foo/new"),
                Entry::file("foo/new", "new"),
                Entry::opaque("foo"),
            ],
            &["foo", "foo/new", "h1", "h2", "link", "real", "real/a", "real/bar"],
        ),
    ];
    for (name, upper, expected) in cases {
        for upper in permutations(&upper) {
            let order: Vec<_> = upper
                .iter()
                .map(|entry| String::from_utf8_lossy(&entry.name).into_owned())
                .collect();
            let seen = ours(&[lower.clone(), upper]);
            assert_eq!(paths(&seen), expected, "{name}: {order:?}");
        }
        banger_cases::refused("registry", &format!("layer.{name}"));
    }
}

fn hard_links_lead_within_and_across_layers() {
    compare(
        &[
            base([
                Entry::file("a", "content").mode(0o4711).owner(5, 6).time(9, 9),
                Entry::hard_link("b", "a"),
                Entry::dir("d"),
                Entry::hard_link("d/c", "/b"),
                Entry::symlink("s", "nowhere").time(8, 8),
                Entry::hard_link("s2", "s"),
                Entry::device(b'4', "dev", 259, 65_537),
                Entry::hard_link("dev2", "dev"),
            ]),
            vec![
                Entry::hard_link("d/e", "a"),
                Entry::hard_link("d/s3", "./s2"),
                Entry::file("kept", "kept"),
                Entry::hard_link("kept2", "kept"),
            ],
            // One name goes, by a whiteout and by another file; the others stay.
            vec![
                Entry::whiteout("a"),
                Entry::file("kept", "another"),
                Entry::hard_link("again", "b"),
            ],
        ],
        &["", "d"],
    );
}

fn hard_links_live_on_when_what_they_lead_to_is_whited_out() {
    // The layer that links to a lower file whites that out: whiteouts are for the lower layers' names.
    let seen = ours(&[
        base([Entry::file("a", "content"), Entry::file("o/x", "x")]),
        vec![
            Entry::hard_link("b", "a"),
            Entry::whiteout("a"),
            Entry::hard_link("y", "o/x"),
            Entry::opaque("o"),
        ],
        vec![Entry::hard_link("c", "b"), Entry::whiteout("b")],
    ]);
    assert_eq!(paths(&seen), ["c", "o", "y"]);
    assert_eq!((seen[&b"c"[..]].links, seen[&b"c"[..]].size), (1, 7));
    assert_eq!((seen[&b"y"[..]].links, seen[&b"y"[..]].size), (1, 1));
}

fn what_a_layer_repeats_is_as_it_was_last() {
    compare(
        &[
            base([
                Entry::file("a", "first").mode(0o600),
                Entry::hard_link("b", "a"),
                Entry::file("a", "second, which is longer").mode(0o755).time(4, 4),
                Entry::dir("d").mode(0o700),
                Entry::file("d/x", "x"),
                Entry::dir("d/").mode(0o1777).owner(3, 4).time(6, 6),
                Entry::file("./a", "third").xattr("user.x", b"1"),
                Entry::dir("d/e/"),
            ]),
            vec![Entry::dir("d").mode(0o555).time(2, 2)],
            vec![],
        ],
        &[],
    );
}

fn every_attribute_is_kept() {
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

fn attributes_that_umoci_loses_are_kept() {
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

fn names_are_any_bytes() {
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

fn sparse_files_are_sparse() {
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

fn a_file_may_be_much_larger_than_what_it_holds() {
    const SIZE: u64 = 20 << 30;
    // umoci would write all of it.
    let parts: [(u64, &[u8]); 2] = [(9 << 30, b"x"), (SIZE - 1, b"y")];
    let seen = ours(&[base([Entry::sparse("far", SIZE, &parts)])]);
    let far = &seen[&b"far"[..]];
    assert_eq!(far.size, SIZE);
    assert!(far.data.keys().eq(&[(9 << 30) / 4096, SIZE / 4096 - 1]));
}

fn parents_that_no_layer_has_are_made() {
    compare(
        &[
            base([Entry::file("a/b/c", "c"), Entry::symlink("x/y", "z")]),
            vec![],
            vec![Entry::file("a/d/e", "e"), Entry::hard_link("h/i", "a/b/c")],
        ],
        &["", "a", "a/b", "a/d", "h", "x"],
    );
}

fn every_packing_gives_the_same_image() {
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

fn a_directory_of_100_000_files_is_whole() {
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

fn main() -> ExitCode {
    let mounts = [Need::Root, Need::LoopDevices];
    let umoci = [Need::Root, Need::LoopDevices, Need::Program("umoci")];
    banger_needs::run(
        None,
        &[
            (
                &mounts,
                tests![
                    an_opaque_root_shows_only_its_own_layer,
                    marks_of_aufs_are_not_shown,
                    marks_never_go_through_links_in_any_order,
                    hard_links_live_on_when_what_they_lead_to_is_whited_out,
                    attributes_that_umoci_loses_are_kept,
                    a_file_may_be_much_larger_than_what_it_holds,
                    every_packing_gives_the_same_image,
                    a_directory_of_100_000_files_is_whole,
                ],
            ),
            (
                &umoci,
                tests![
                    whiteouts_remove_what_is_below_wherever_they_stand,
                    whiteouts_spare_what_their_own_layer_has,
                    opaque_directories_show_only_their_own_layer,
                    kinds_change_and_change_back,
                    symbolic_links_lead_on_to_where_lower_layers_have_directories,
                    hard_links_lead_within_and_across_layers,
                    what_a_layer_repeats_is_as_it_was_last,
                    every_attribute_is_kept,
                    names_are_any_bytes,
                    sparse_files_are_sparse,
                    parents_that_no_layer_has_are_made,
                ],
            ),
        ],
    )
}
