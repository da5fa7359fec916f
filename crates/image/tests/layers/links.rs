//! Where links lead between layers, symbolic and hard ones.

use crate::host::layers::Entry;
use crate::host::stack::{base, compare, ours, paths};

pub(crate) fn symbolic_links_lead_on_to_where_lower_layers_have_directories() {
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

pub(crate) fn marks_never_go_through_links_in_any_order() {
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

pub(crate) fn hard_links_lead_within_and_across_layers() {
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

pub(crate) fn hard_links_live_on_when_what_they_lead_to_is_whited_out() {
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
