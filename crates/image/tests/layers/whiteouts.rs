//! What upper layers hide: whiteouts, opaque directories, kinds that change.

use crate::host::layers::Entry;
use crate::host::stack::{base, compare, ours, paths};

/// A directory of files, all below `d`.
pub(crate) fn lower() -> Vec<Entry> {
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

pub(crate) fn whiteouts_remove_what_is_below_wherever_they_stand() {
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

pub(crate) fn whiteouts_spare_what_their_own_layer_has() {
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

pub(crate) fn opaque_directories_show_only_their_own_layer() {
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

pub(crate) fn an_opaque_root_shows_only_its_own_layer() {
    for mark in [".wh..wh..opq", "./.wh..wh..opq", "/.wh..wh..opq"] {
        for at in 0..=1 {
            let mut upper = vec![Entry::file("own", "own")];
            upper.insert(at, Entry::file(mark, ""));
            let seen = ours(&[lower(), upper]);
            assert_eq!(paths(&seen), ["own"], "{mark}");
        }
    }
}

pub(crate) fn marks_of_aufs_are_not_shown() {
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

pub(crate) fn kinds_change_and_change_back() {
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

pub(crate) fn what_a_layer_repeats_is_as_it_was_last() {
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
