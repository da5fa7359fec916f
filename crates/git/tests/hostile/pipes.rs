//! Pipes in a work tree, which git waits for where it opens them.

use std::os::unix::fs::symlink;
use std::path::Path;

use banger_cases::refused;
use banger_git::Error;

use crate::place::{Place, git};

/// Makes a named pipe, with what is above it.
pub(crate) fn pipe(path: &Path) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
}

/// A submodule that is checked out in `theirs`, its git directory in place.
pub(crate) fn submodule(place: &Place) {
    let theirs = place.at("theirs");
    let mine = place.at("mine");
    git(&theirs, &["clone", "-q", mine.to_str().unwrap(), "sub"]);
    git(&theirs, &["add", "sub"]);
    git(&theirs, &["commit", "-q", "-m", "sub"]);
}

#[test]
fn git_waits_for_no_pipe_in_a_work_tree() {
    // Side by side, because each takes as long as git may wait.
    std::thread::scope(|scope| {
        for name in [
            ".gitignore",
            ".gitattributes",
            ".gitmodules",
            ".mailmap",
            "dir/.gitignore",
            "dir/.gitattributes",
            "new/deep/.gitignore",
            "other/.git/HEAD",
            "other/.git/commondir",
            "sub/.git/HEAD",
            "sub/.git/refs/heads/main",
            "sub/.git/packed-refs",
            "sub/.git/commondir",
            "sub/.git/config",
        ] {
            scope.spawn(move || waits_for_no(name));
        }
    });
}

fn waits_for_no(name: &str) {
    let place = Place::new();
    let theirs = place.at("theirs");
    std::fs::create_dir(theirs.join("dir")).unwrap();
    std::fs::write(theirs.join("dir/file"), "").unwrap();
    git(&theirs, &["add", "dir"]);
    if name.starts_with("sub/") || name == ".gitmodules" {
        submodule(&place);
    }
    // What is looked at is what is in the file.
    std::fs::write(theirs.join("dir/file"), "changed").unwrap();
    for dir in ["new/deep", "other/.git/objects", "other/.git/refs"] {
        std::fs::create_dir_all(theirs.join(dir)).unwrap();
    }
    std::fs::write(theirs.join("new/deep/file"), "").unwrap();
    let _ = std::fs::remove_file(theirs.join(name));
    pipe(&theirs.join(name));
    let view = place.view("theirs").unwrap();
    let since = std::time::Instant::now();
    for args in [
        &["update-index", "-q", "--refresh"][..],
        &["diff-files", "--name-only", "--ignore-submodules=dirty", "-z"],
        &["ls-files", "-z", "--others", "--exclude-standard"],
        &["check-attr", "filter", "file", "dir/file", "sub"],
        &["diff-index", "--cached", "--name-only", "-z", "HEAD"],
        &["log", "-1", "--use-mailmap", "--format=%aN"],
    ] {
        match view.git().attempt("look", args) {
            Ok(_) => {}
            Err(Error::Waits { path, kind }) => {
                assert_eq!((path, kind), (theirs.join(name), "a named pipe"), "{args:?}");
            }
            Err(error) => panic!("{name} {args:?}: {error:?}"),
        }
    }
    assert!(since.elapsed().as_secs() < 100, "{name}: {:?}", since.elapsed());
    refused("git", &format!("pipe.{}", name.replace('/', ".")));
}

#[test]
fn links_to_pipes_are_not_waited_for_either() {
    for name in [
        ".gitmodules",
        ".gitignore",
        ".gitattributes",
        "dir/.gitattributes",
    ] {
        let place = Place::new();
        let theirs = place.at("theirs");
        submodule(&place);
        std::fs::create_dir(theirs.join("dir")).unwrap();
        std::fs::write(theirs.join("dir/file"), "").unwrap();
        pipe(&theirs.join("nothing"));
        symlink(theirs.join("nothing"), theirs.join(name)).unwrap();
        let view = place.view("theirs").unwrap();
        for args in [
            &["ls-files", "-z", "--others", "--exclude-standard"][..],
            &["check-attr", "filter", "file", "dir/file"],
            &["submodule--helper", "config", "--list"],
            &["diff", "--quiet", "HEAD"],
        ] {
            let seen = view.git().attempt("look", args);
            assert!(
                matches!(seen, Ok(_) | Err(Error::Waits { .. })),
                "{name} {args:?}: {seen:?}"
            );
        }
        refused("git", &format!("pipe.behind-{}", name.replace('/', ".")));
    }
}

#[test]
fn a_pipe_of_another_name_and_one_that_git_does_not_open_are_nobodys_matter() {
    let place = Place::new();
    let theirs = place.at("theirs");
    std::fs::write(theirs.join(".gitignore"), "ignored\n").unwrap();
    for name in ["pipe", "dir/log", "ignored/.gitignore"] {
        pipe(&theirs.join(name));
    }
    std::fs::write(theirs.join("ignored/file"), "").unwrap();
    let view = place.view("theirs").unwrap();
    let listed = view
        .git()
        .run("list", ["ls-files", "--others", "--exclude-standard"])
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&listed), ".gitignore\n");
}
