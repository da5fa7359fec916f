//! What is in a git directory and where it leads: links, pipes, other directories, other object stores.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use banger_cases::refused;
use banger_git::Error;
use banger_model::Describe;

use crate::place::{Place, git, head};

/// Holes cost a repository nothing, and a copy of them all that they say.
#[test]
fn parts_of_a_split_index_are_bounded_together() {
    let place = Place::new();
    for number in 0..3 {
        let part = std::fs::File::create(place.at(&format!("theirs/.git/sharedindex.{number}"))).unwrap();
        part.set_len(1 << 30).unwrap();
    }
    let seen = place.view("theirs");
    assert!(matches!(seen, Err(Error::TooLarge { .. })), "{seen:?}");
    refused("git", "sharedindex.many");
}

#[test]
fn links_and_pipes_in_a_git_directory_are_refused() {
    // What is put where, as a link to the same thing of the private repository.
    for name in [
        "objects",
        "objects/pack",
        "objects/info",
        "refs",
        "refs/heads",
        "refs/heads/main",
        "refs/tags",
        "logs",
        "logs/HEAD",
        "HEAD",
        "index",
        "config",
        "packed-refs",
        "shallow",
        "info",
        "info/exclude",
        "info/attributes",
        "info/sparse-checkout",
        "MERGE_HEAD",
        "MERGE_MSG",
        "CHERRY_PICK_HEAD",
        "REVERT_HEAD",
        "objects/ff",
        "objects/pack/pack-0.pack",
        "objects/info/alternates",
        "objects/info/commit-graph",
        "reftable",
        "sharedindex.0",
        "commondir",
    ] {
        for kind in ["link", "pipe"] {
            // Of a pipe nothing is read where a directory is to be.
            if (kind, name) == ("pipe", "info") {
                continue;
            }
            let place = Place::new();
            let (theirs, mine) = (
                place.at("theirs/.git").join(name),
                place.at("mine/.git").join(name),
            );
            match theirs.symlink_metadata() {
                Ok(metadata) if metadata.is_dir() => std::fs::rename(&theirs, place.at("away")).unwrap(),
                Ok(_) => std::fs::remove_file(&theirs).unwrap(),
                Err(_) => {}
            }
            if kind == "link" {
                symlink(&mine, &theirs).unwrap();
            } else {
                let mode = rustix::fs::Mode::from_raw_mode(0o600);
                let made = rustix::fs::mknodat(rustix::fs::CWD, &theirs, rustix::fs::FileType::Fifo, mode, 0);
                made.unwrap();
            }
            let seen = place.view("theirs");
            assert!(matches!(seen, Err(Error::Odd { .. })), "{kind} {name}: {seen:?}");
            refused("git", &format!("{kind}.{}", name.replace('/', ".")));
        }
    }
}

#[test]
fn a_loose_object_that_is_a_link_is_refused() {
    let place = Place::new();
    let blob = git(&place.at("mine"), &["rev-parse", "HEAD:file"]);
    let (dir, name) = blob.split_at(2);
    let theirs = place.at("theirs/.git/objects").join(dir);
    std::fs::create_dir_all(&theirs).unwrap();
    symlink(
        place.at("mine/.git/objects").join(dir).join(name),
        theirs.join(name),
    )
    .unwrap();
    assert!(matches!(place.view("theirs"), Err(Error::Odd { .. })));
    refused("git", "link.loose-object");
}

#[test]
fn a_git_file_counts_when_what_it_names_says_so() {
    let place = Place::new();
    let (mine, theirs) = (place.at("mine"), place.at("theirs"));
    git(&mine, &["worktree", "add", "-q", "../linked"]);
    assert_eq!(head(&place.view("linked").unwrap()), "mine");
    let take = |target: &Path| {
        let _ = std::fs::remove_dir_all(theirs.join(".git"));
        let _ = std::fs::remove_file(theirs.join(".git"));
        std::fs::write(theirs.join(".git"), format!("gitdir: {}\n", target.display())).unwrap();
        place.view("theirs")
    };
    // The private repository, one of its work trees, and links in place of a file.
    for (name, target) in [
        ("whole", mine.join(".git")),
        ("worktree", mine.join(".git/worktrees/linked")),
        ("relative", PathBuf::from("../mine/.git")),
    ] {
        let seen = take(&target);
        assert!(matches!(seen, Err(Error::Elsewhere { .. })), "{name}: {seen:?}");
        assert!(!seen.unwrap_err().describe().hints.is_empty());
        refused("git", &format!("git-file.{name}"));
    }
    std::fs::remove_file(theirs.join(".git")).unwrap();
    symlink("../mine/.git", theirs.join(".git")).unwrap();
    assert!(matches!(place.view("theirs"), Err(Error::Elsewhere { .. })));
    refused("git", "git-file.link");
    // A work tree's directory of their own that calls the private repository its common one.
    let own = theirs.join("own");
    std::fs::create_dir_all(&own).unwrap();
    std::fs::write(own.join("commondir"), mine.join(".git").to_str().unwrap()).unwrap();
    std::fs::write(own.join("gitdir"), theirs.join(".git").to_str().unwrap()).unwrap();
    std::fs::write(own.join("HEAD"), "ref: refs/heads/main\n").unwrap();
    assert!(matches!(take(&own), Err(Error::Elsewhere { .. })));
    refused("git", "git-file.commondir");
    // Whoever owns the private repository can say that it is meant.
    git(&mine, &["config", "core.worktree", theirs.to_str().unwrap()]);
    assert_eq!(head(&take(&mine.join(".git")).unwrap()), "mine");
}

#[test]
fn a_work_tree_named_by_the_repository_is_not_gone_to() {
    let place = Place::new();
    git(
        &place.at("theirs"),
        &["config", "core.worktree", place.at("mine").to_str().unwrap()],
    );
    let view = place.view("theirs").unwrap();
    assert_eq!(view.root(), place.at("theirs"));
    let top = view
        .git()
        .path("see the top", ["rev-parse", "--show-toplevel"])
        .unwrap();
    assert_eq!(top, place.at("theirs"));
    refused("git", "config.worktree");
}

#[test]
fn submodules_and_repositories_apart_work() {
    let place = Place::new();
    let theirs = place.at("theirs");
    git(
        &theirs,
        &[
            "submodule",
            "add",
            "-q",
            place.at("mine").to_str().unwrap(),
            "sub",
        ],
    );
    git(&theirs, &["commit", "-q", "-m", "sub"]);
    assert_eq!(head(&place.view("theirs/sub").unwrap()), "mine");
    git(
        place.path(),
        &["clone", "-q", "--separate-git-dir=apart", "theirs", "clone"],
    );
    let error = place.view("clone").unwrap_err();
    let hint = &error.describe().hints[0];
    let line = hint.split('`').nth(1).unwrap();
    let followed = Command::new("sh").args(["-c", line]).status().unwrap();
    assert!(followed.success(), "{line}");
    assert_eq!(head(&place.view("clone").unwrap()), "sub");
}

#[test]
fn objects_are_borrowed_where_the_lender_says_so() {
    let place = Place::new();
    let (mine, theirs) = (place.at("mine"), place.at("theirs"));
    let alternates = theirs.join(".git/objects/info/alternates");
    for (name, line) in [
        ("absolute", mine.join(".git/objects").display().to_string()),
        ("relative", "../../../mine/.git/objects".to_owned()),
        ("quoted", format!("\"{}\"", mine.join(".git/objects").display())),
        ("octal", format!("\"{}/\\056git/objects\"", mine.display())),
        (
            "second",
            format!(
                "# a comment\n/nonexistent\n{}",
                mine.join(".git/objects").display()
            ),
        ),
    ] {
        std::fs::write(&alternates, format!("{line}\n")).unwrap();
        let seen = place.view("theirs");
        assert!(matches!(seen, Err(Error::Borrowed { .. })), "{name}: {seen:?}");
        refused("git", &format!("alternates.{name}"));
    }
    // Through a directory of their own that borrows in turn.
    let own = theirs.join("more/objects");
    std::fs::create_dir_all(own.join("info")).unwrap();
    std::fs::write(
        own.join("info/alternates"),
        format!("{}\n", mine.join(".git/objects").display()),
    )
    .unwrap();
    std::fs::write(&alternates, format!("{}\n", own.display())).unwrap();
    let error = place.view("theirs").unwrap_err();
    assert!(matches!(error, Error::Borrowed { .. }), "{error:?}");
    refused("git", "alternates.nested");
    let hint = &error.describe().hints[0];
    let line = hint.split('`').nth(5).unwrap();
    assert!(
        Command::new("sh").args(["-c", line]).status().unwrap().success(),
        "{hint}"
    );
    assert_eq!(head(&place.view("theirs").unwrap()), "theirs");
}
