//! Stacks of random layers: what the image shows when it is mounted must be what `umoci unpack` makes of the same layout.
//! Needs root, to mount, and umoci.

mod host;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use banger_needs::{Need, tests};
use host::layers::{Entry, Packing};
use host::stack::{Tree, base, layout, look_at, pull_image, unpacked};
use host::{differences, words};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

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

/// Marks first, each path once, directories and links with parents first, hard links last.
fn in_order(layer: &mut Vec<Entry>) {
    let is_mark = |entry: &Entry| {
        let last = entry.name.rsplit(|&byte| byte == b'/').next();
        last.is_some_and(|last| last.starts_with(b".wh."))
    };
    let mut seen = BTreeMap::new();
    layer.retain(|entry| is_mark(entry) || seen.insert(entry.name.clone(), ()).is_none());
    layer.sort_by_key(|entry| {
        let depth = entry.name.iter().filter(|&&byte| byte == b'/').count();
        match entry.flag {
            _ if is_mark(entry) => (0, 0, Vec::new()),
            b'5' | b'2' => (1, depth, entry.name.clone()),
            b'1' => (3, 0, entry.name.clone()),
            _ => (2, 0, entry.name.clone()),
        }
    });
}

/// Leaves out what no one can take: hard links to nothing or to directories, and entries below what is no directory. What
/// becomes of those is no question of the layers' meaning. What lies behind symbolic links is not known here.
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
            if parents.iter().any(|parent| {
                kinds
                    .get(*parent)
                    .is_some_and(|&kind| !matches!(kind, b'5' | b'2'))
            }) {
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
                // umoci goes through links and files to what a mark says is gone, and makes directories for it.
                let is_odd = |path: &[u8]| kinds.get(path).is_some_and(|&kind| kind != b'5');
                if parents.iter().any(|parent| is_odd(parent)) || (!itself && is_odd(&root)) {
                    return false;
                }
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

fn random_stacks_look_as_umoci_unpacks_them() {
    const CASES: u32 = 100;
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
    let (compared, refused) = (Cell::new(0_u32), Cell::new(0));
    let stacks = vec(vec(any_entry(), 0..12), 1..5);
    let told = runner.run(&stacks, |mut layers| {
        // Slow hosts see fewer.
        if since.elapsed() > AT_MOST {
            return Ok(());
        }
        // What umoci makes of a layer depends on the order of its entries; ours does not, and is that of this order.
        for layer in &mut layers {
            in_order(layer);
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
                compared.set(compared.get() + 1);
                prop_assert!(differences.is_empty(), "image and umoci differ:\n{differences}");
            }
            // Circles of links, and what becomes impossible behind a link.
            (Err(_), Err(_)) => refused.set(refused.get() + 1),
            (Ok(_), Err(theirs)) => prop_assert!(false, "umoci refuses: {theirs}"),
            (Err(ours), Ok(_)) => prop_assert!(false, "we refuse: {}", words(&ours)),
        }
        Ok(())
    });
    told.unwrap_or_else(|error| panic!("{error}"));
    let (compared, refused) = (compared.get(), refused.get());
    assert!(
        compared > 0 && refused <= compared / 4,
        "{compared} were compared, and both refused {refused}"
    );
}

fn main() -> ExitCode {
    let umoci = [Need::Root, Need::LoopDevices, Need::Program("umoci")];
    banger_needs::run(
        None,
        &[(&umoci, tests![random_stacks_look_as_umoci_unpacks_them,])],
    )
}
