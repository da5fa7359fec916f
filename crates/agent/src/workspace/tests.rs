//! Streams applied to directories.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use banger_guest_api::FilesDone;
use banger_guest_api::workspace::{Look, Seen};
use banger_guest_api::workspace_files::{Head, Kind, chunk_header, tail};

use super::apply::Work;
use super::look::seen;

/// A stream that is being made.
#[derive(Default)]
struct Stream(Vec<u8>);

impl Stream {
    fn add(mut self, kind: Kind, path: &str, content: &str) -> Self {
        let head = Head {
            kind,
            path: path.as_bytes().to_vec(),
            mode: 0o644,
            mtime: 1_000_000_000,
            mtime_ns: 5,
        };
        self.0.extend_from_slice(&head.encoded());
        if kind != Kind::End {
            if !content.is_empty() {
                self.0.extend_from_slice(&chunk_header(content.as_bytes()));
                self.0.extend_from_slice(content.as_bytes());
            }
            self.0.extend_from_slice(&tail(&format!("tag of {content}")));
        }
        self
    }

    fn apply(self, base: &Path) -> Result<FilesDone, String> {
        let work = Work::begin(base).map_err(|failure| failure.message)?;
        work.run(&self.0[..])
            .map_err(|failure| format!("{}: {:?}", failure.message, failure.causes))
    }
}

fn look(base: &Path, generation: &str, probe: &[&str]) -> Seen {
    let asked = Look {
        path: "/x".to_owned(),
        generation: Some(generation.to_owned()),
        probe: probe.iter().map(|path| (*path).to_owned()).collect(),
    };
    seen(base, &asked).unwrap()
}

fn first() -> Stream {
    Stream::default()
        .add(Kind::File, "a/b", "one")
        .add(Kind::File, "c", "two")
        .add(Kind::Symlink, "link", "c")
        .add(Kind::Own, ".git/HEAD", "ref: refs/heads/main\n")
        .add(Kind::End, "g1", "")
}

#[test]
fn what_was_placed_is_known_and_what_the_guest_changed_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let base = dir.path().join("repo");
    assert_eq!(look(&base, "g0", &[]), Seen::Absent);
    assert_eq!(first().apply(&base).unwrap().entries, 4);
    let metadata = std::fs::metadata(base.join("a/b")).unwrap();
    assert_eq!((metadata.mtime(), metadata.mtime_nsec()), (1_000_000_000, 5));
    let untouched = Seen::Placed {
        same: true,
        entries: Vec::new(),
        changed: Vec::new(),
        taken: vec!["a".to_owned()],
        git_touched: false,
    };
    assert_eq!(look(&base, "g1", &["a", "new", "%00"][..2]), untouched);

    std::fs::write(base.join("c"), "mine").unwrap();
    std::fs::remove_file(base.join("link")).unwrap();
    std::fs::write(base.join(".git/HEAD"), "ref: refs/heads/other\n").unwrap();
    let Seen::Placed {
        same,
        entries,
        changed,
        git_touched,
        ..
    } = look(&base, "g0", &[])
    else {
        panic!("it was placed");
    };
    assert_eq!((same, git_touched), (false, true));
    assert_eq!(changed, ["c", "link"]);
    let tags: BTreeMap<_, _> = entries.into_iter().collect();
    assert_eq!(tags["a/b"], "tag of one");
}

#[test]
fn a_stream_that_breaks_off_leaves_an_exact_account() {
    let dir = tempfile::tempdir().unwrap();
    first().apply(dir.path()).unwrap();
    let mut second = Stream::default()
        .add(Kind::File, "a/b", "three")
        .add(Kind::File, "c", "four");
    second.0.truncate(second.0.len() - 4);
    assert!(second.apply(dir.path()).is_err());
    assert_eq!(std::fs::read_to_string(dir.path().join("c")).unwrap(), "two");
    let Seen::Placed {
        same,
        entries,
        changed,
        git_touched,
        ..
    } = look(dir.path(), "g1", &[])
    else {
        panic!("it was placed");
    };
    assert_eq!((same, git_touched, changed), (false, false, Vec::new()));
    let tags: BTreeMap<_, _> = entries.into_iter().collect();
    assert_eq!((&tags["a/b"][..], &tags["c"][..]), ("tag of three", "tag of two"));
}

#[test]
fn what_the_host_does_not_name_stays() {
    let dir = tempfile::tempdir().unwrap();
    first().apply(dir.path()).unwrap();
    std::fs::write(dir.path().join("a/mine"), "").unwrap();
    let second = Stream::default()
        .add(Kind::Remove, "a/b", "")
        .add(Kind::File, "a", "a file now")
        .add(Kind::End, "g2", "");
    assert!(second.apply(dir.path()).is_err());
    assert!(dir.path().join("a/mine").exists());
    assert!(!dir.path().join("a/b").exists());
    std::fs::remove_file(dir.path().join("a/mine")).unwrap();
    let second = Stream::default()
        .add(Kind::File, "a", "a file now")
        .add(Kind::End, "g2", "");
    second.apply(dir.path()).unwrap();
}

#[test]
fn nothing_is_written_through_a_link_or_out_of_the_workspace() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    first().apply(dir.path()).unwrap();
    symlink(other.path(), dir.path().join("out")).unwrap();
    for (kind, path) in [
        (Kind::File, "out/x"),
        (Kind::File, "../x"),
        (Kind::File, "/x"),
        (Kind::File, ".git/x"),
        (Kind::Remove, ".git/HEAD"),
        (Kind::Own, "x"),
        (Kind::Own, ".git/../x"),
    ] {
        let stream = Stream::default().add(kind, path, "x").add(Kind::End, "g", "");
        assert!(stream.apply(dir.path()).is_err(), "{path}");
    }
    assert_eq!(std::fs::read_dir(other.path()).unwrap().count(), 0);
    assert!(matches!(look(dir.path(), "g", &["out/x"]), Seen::Placed { taken, .. } if taken == ["out/x"]));
}

#[test]
fn directories_get_their_modes_last() {
    let dir = tempfile::tempdir().unwrap();
    Stream::default()
        .add(Kind::Directory, "d", "")
        .add(Kind::File, "d/e/f", "x")
        .add(Kind::End, "g", "")
        .apply(dir.path())
        .unwrap();
    let metadata = std::fs::metadata(dir.path().join("d")).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o7777, 0o644);
    assert_eq!(metadata.mtime(), 1_000_000_000);
}
