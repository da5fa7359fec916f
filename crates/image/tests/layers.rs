//! Stacks of layers that are hard to get right: what the image shows when it is mounted must be what `umoci unpack` makes
//! of the same layout, in every attribute that a program can see. Needs root, to make devices and to mount, and umoci.
//!
//! umoci 0.4 is old, and where the specification speaks against it the expectation is written out instead, with the
//! paragraph of its `layer.md`.

mod host;

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use banger_image::{ImageStore, Pull, PullOptions, PullSource, Pulled};
use host::ext4::{Mounted, can_mount, check};
use host::layers::{Described, Entry, Layout, Packing, tar};
use host::{CAPABILITY, Shown, acl, assert_same, differences, has_all_holes, shown, words};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

type Tree = BTreeMap<Vec<u8>, Shown>;

/// Whether this host can tell; says why if not.
fn skipped(needs_umoci: bool) -> bool {
    let has_umoci = || Command::new("umoci").arg("--version").output().is_ok();
    let reason = if !can_mount() {
        "making devices and mounting images needs root"
    } else if needs_umoci && !has_umoci() {
        "there is no umoci: `scripts/setup.sh test` installs it"
    } else {
        return false;
    };
    println!("skipped: {reason}");
    true
}

/// What most stacks begin with: the root has a time of its own.
fn base(entries: impl IntoIterator<Item = Entry>) -> Vec<Entry> {
    [Entry::dir("./").time(1_500_000_000, 5)]
        .into_iter()
        .chain(entries)
        .collect()
}

fn pull_image(dir: &Path, layout: &Path) -> Result<PathBuf, banger_image::Error> {
    let store = ImageStore::open(&dir.join("store"))?;
    let pull = Pull {
        name: "i".parse().unwrap(),
        source: PullSource::Layout(layout.to_owned(), None),
        kernel: None,
        force: true,
        options: PullOptions::default(),
    };
    match store.pull(&pull, &|_, _, _| ControlFlow::Continue(()))? {
        Pulled::New(mut record) | Pulled::Unchanged(mut record) => Ok(record.layers.remove(0)),
    }
}

/// The image as it looks when it is mounted. It is consistent, and has all holes.
fn look_at(image: &Path) -> Tree {
    check(image);
    let mounted = Mounted::new(image, "ro");
    let seen = shown(mounted.path());
    assert!(has_all_holes(mounted.path(), &seen));
    mounted.unmount();
    seen
}

/// The same layout as umoci unpacks it, or its complaint.
fn unpacked(layout: &Path, to: &Path) -> Result<Tree, String> {
    let output = Command::new("umoci")
        .args(["raw", "unpack", "--image"])
        .arg(format!("{}:latest", layout.display()))
        .arg(to)
        .output()
        .unwrap();
    match output.status.success() {
        true => Ok(shown(to)),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

fn layout(dir: &Path, layers: &[Vec<Entry>], packing: Packing) -> Layout {
    let layout = Layout::new(&dir.join(format!("{packing:?}")));
    let layers: Vec<Described> = layers
        .iter()
        .map(|entries| Described::new(&tar(entries), packing))
        .collect();
    layout.image(&layers);
    layout
}

/// What we make of a stack.
fn ours(layers: &[Vec<Entry>]) -> Tree {
    let dir = tempfile::tempdir().unwrap();
    let layout = layout(dir.path(), layers, Packing::Gzip);
    look_at(&pull_image(dir.path(), &layout.0).unwrap_or_else(|error| panic!("{}", words(&error))))
}

/// Both must show the same, but for the times of `implied` directories, which nobody described.
fn compare(layers: &[Vec<Entry>], implied: &[&str]) {
    if skipped(true) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let layout = layout(dir.path(), layers, Packing::Gzip);
    let image = pull_image(dir.path(), &layout.0).unwrap_or_else(|error| panic!("{}", words(&error)));
    let (mut ours, mut theirs) = (
        look_at(&image),
        unpacked(&layout.0, &dir.path().join("umoci")).unwrap(),
    );
    for path in implied {
        for tree in [&mut ours, &mut theirs] {
            let entry = tree.get_mut(path.as_bytes());
            entry.unwrap_or_else(|| panic!("no {path}")).mtime = (0, 0);
        }
    }
    assert_same("image and umoci", &ours, &theirs);
}

fn paths(tree: &Tree) -> Vec<String> {
    let names = tree.keys().map(|path| String::from_utf8_lossy(path).into_owned());
    names.filter(|path| !path.is_empty()).collect()
}

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

#[test]
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

#[test]
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

#[test]
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

#[test]
fn an_opaque_root_shows_only_its_own_layer() {
    if skipped(false) {
        return;
    }
    for mark in [".wh..wh..opq", "./.wh..wh..opq", "/.wh..wh..opq"] {
        for at in 0..=1 {
            let mut upper = vec![Entry::file("own", "own")];
            upper.insert(at, Entry::file(mark, ""));
            let seen = ours(&[lower(), upper]);
            assert_eq!(paths(&seen), ["own"], "{mark}");
        }
    }
}

#[test]
fn marks_of_aufs_are_not_shown() {
    if skipped(false) {
        return;
    }
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

#[test]
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

#[test]
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
                Entry::whiteout("lib/gone"),
                Entry::symlink("lib/newest", "new"),
            ],
            vec![
                Entry::file("up/dir/deep", "deep"),
                Entry::file("lib/old", "newer old"),
            ],
        ],
        &["usr/lib", "usr/lib/dir"],
    );
    // The link itself is replaced by a directory, and then nothing leads there any more.
    compare(
        &[
            base([
                Entry::dir("real"),
                Entry::file("real/a", "a"),
                Entry::symlink("link", "real"),
            ]),
            vec![
                Entry::file("link/b", "b"),
                Entry::dir("link"),
                Entry::file("link/c", "c"),
            ],
        ],
        &["", "real", "link"],
    );
}

#[test]
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

#[test]
fn hard_links_live_on_when_what_they_lead_to_is_whited_out() {
    if skipped(false) {
        return;
    }
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

#[test]
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

#[test]
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
                Entry::symlink("d/longer", "t".repeat(2000)),
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

#[test]
fn attributes_that_umoci_loses_are_kept() {
    if skipped(false) {
        return;
    }
    // umoci passes over empty attributes and overlayfs's, and cannot set times after 2262; containerd and GNU tar do all.
    let seen = ours(&[base([
        Entry::file("empty", "").xattr("user.empty", b""),
        Entry::file("trusted", "").xattr("trusted.overlay.opaque", b"y"),
        Entry::file("later", "").time(10_000_000_000, 1),
    ])]);
    assert_eq!(seen[&b"empty"[..]].xattrs[&b"user.empty"[..]], b"");
    assert_eq!(seen[&b"trusted"[..]].xattrs[&b"trusted.overlay.opaque"[..]], b"y");
    assert_eq!(seen[&b"later"[..]].mtime, (10_000_000_000, 1));
}

#[test]
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

#[test]
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

#[test]
fn a_file_may_be_much_larger_than_what_it_holds() {
    if skipped(false) {
        return;
    }
    const SIZE: u64 = 20 << 30;
    // umoci would write all of it.
    let parts: [(u64, &[u8]); 2] = [(9 << 30, b"x"), (SIZE - 1, b"y")];
    let seen = ours(&[base([Entry::sparse("far", SIZE, &parts)])]);
    let far = &seen[&b"far"[..]];
    assert_eq!(far.size, SIZE);
    assert!(far.data.keys().eq(&[(9 << 30) / 4096, SIZE / 4096 - 1]));
}

#[test]
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

#[test]
fn every_packing_gives_the_same_image() {
    if skipped(false) {
        return;
    }
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

#[test]
fn a_directory_of_100_000_files_is_whole() {
    if skipped(false) {
        return;
    }
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

/// A change of one path, of a few names three deep.
fn any_entry() -> impl Strategy<Value = Entry> {
    let name = || proptest::sample::select(vec!["a", "b", "c"]);
    let path = || vec(name(), 1..=3).prop_map(|names| names.join("/"));
    let target = proptest::sample::select(vec!["a", "/b", "../c", "b/c", "nowhere"]);
    let meta = (
        0..0o10000_u32,
        0..3_u32,
        -2_000_000_000_i64..6_000_000_000,
        proptest::sample::select(vec![0, 1, 999_999_999]),
    );
    let entry = prop_oneof![
        4 => path().prop_map(Entry::dir),
        4 => (path(), "[a-z]{0,9}").prop_map(|(path, content)| Entry::file(path, content)),
        1 => (path(), target).prop_map(|(path, target)| Entry::symlink(path, target)),
        2 => (path(), path()).prop_map(|(path, existing)| Entry::hard_link(path, existing)),
        1 => path().prop_map(Entry::fifo),
        2 => path().prop_map(|path| Entry::whiteout(&path)),
        1 => path().prop_map(|path| Entry::opaque(&path)),
    ];
    (entry, meta).prop_map(|(mut entry, (mode, owner, secs, nanos))| {
        entry.mode = match entry.flag {
            b'2' => 0o777,
            // Parents that nobody describes get the group of such a directory on umoci's way, by the kernel's hand.
            b'5' => mode & !0o2000,
            _ => mode,
        };
        entry.owner = (owner, owner);
        entry.mtime = (secs, nanos);
        entry
    })
}

/// Entries that no one can take: hard links to nothing or to directories, and entries below what is no directory. What
/// becomes of those is no question of the layers' meaning. Says what is where afterwards.
fn drop_impossible(layers: &mut [Vec<Entry>]) {
    let mut kinds: BTreeMap<Vec<u8>, u8> = BTreeMap::new();
    let below = |path: &[u8], root: &[u8]| path.starts_with(&[root, b"/"].concat());
    for layer in layers {
        let mut own: Vec<Vec<u8>> = Vec::new();
        layer.retain(|entry| {
            let (dir, last) = match entry.name.iter().rposition(|&byte| byte == b'/') {
                Some(at) => (&entry.name[..at], &entry.name[at + 1..]),
                None => (&b""[..], &entry.name[..]),
            };
            let parents: Vec<&[u8]> = (1..entry.name.len())
                .filter(|&at| entry.name[at] == b'/')
                .map(|at| &entry.name[..at])
                .collect();
            if parents
                .iter()
                .any(|parent| kinds.get(*parent).is_some_and(|&kind| kind != b'5'))
            {
                return false;
            }
            let gone = match last {
                b".wh..wh..opq" => Some((dir.to_vec(), false)),
                _ => last.strip_prefix(b".wh.").map(|name| {
                    let slash = if dir.is_empty() { &b""[..] } else { b"/" };
                    ([dir, slash, name].concat(), true)
                }),
            };
            if let Some((root, itself)) = gone {
                kinds
                    .retain(|path, _| own.contains(path) || !(below(path, &root) || itself && *path == root));
                return true;
            }
            let kind = match entry.flag {
                b'1' => match kinds.get(&entry.target) {
                    Some(b'5') | None => return false,
                    Some(&kind) => kind,
                },
                flag => flag,
            };
            // A link in the place of the directory that what it leads to is in.
            if entry.flag == b'1' && (below(&entry.target, &entry.name) || entry.target == entry.name) {
                return false;
            }
            if kind != b'5' {
                kinds.retain(|path, _| !below(path, &entry.name));
                own.retain(|path| !below(path, &entry.name));
            }
            for parent in parents {
                kinds.insert(parent.to_vec(), b'5');
                own.push(parent.to_vec());
            }
            kinds.insert(entry.name.clone(), kind);
            own.push(entry.name.clone());
            true
        });
    }
}

/// Directories whose time nobody tells: that no layer has, or that one changes without having them.
fn same_but_times_of_directories(mut tree: Tree) -> Tree {
    for entry in tree.values_mut().filter(|entry| entry.kind == "directory") {
        entry.mtime = (0, 0);
    }
    tree
}

#[test]
fn random_stacks_look_as_umoci_unpacks_them() {
    if skipped(true) {
        return;
    }
    const CASES: u32 = 60;
    const AT_MOST: Duration = Duration::from_secs(20);
    let since = Instant::now();
    let config = Config {
        cases: CASES,
        max_shrink_iters: 100,
        failure_persistence: None,
        ..Config::default()
    };
    let seed = TestRng::from_seed(RngAlgorithm::ChaCha, b"the same stacks whenever it runs");
    let mut runner = TestRunner::new_with_rng(config, seed);
    let stacks = vec(vec(any_entry(), 0..12), 1..5);
    let told = runner.run(&stacks, |mut layers| {
        // Slow hosts see fewer.
        if since.elapsed() > AT_MOST {
            return Ok(());
        }
        drop_impossible(&mut layers);
        layers.insert(0, base([]));
        let dir = tempfile::tempdir()?;
        let layout = layout(dir.path(), &layers, Packing::Gzip);
        let image = pull_image(dir.path(), &layout.0);
        let theirs = unpacked(&layout.0, &dir.path().join("umoci"));
        match (image, theirs) {
            (Ok(image), Ok(theirs)) => {
                let ours = same_but_times_of_directories(look_at(&image));
                let differences = differences(&ours, &same_but_times_of_directories(theirs));
                prop_assert!(differences.is_empty(), "image and umoci differ:\n{differences}");
            }
            (Err(ours), Err(theirs)) => prop_assert!(false, "{} and {theirs}", words(&ours)),
            (Ok(_), Err(theirs)) => prop_assert!(false, "umoci refuses: {theirs}"),
            (Err(ours), Ok(_)) => prop_assert!(false, "we refuse: {}", words(&ours)),
        }
        Ok(())
    });
    told.unwrap_or_else(|error| panic!("{error}"));
}
