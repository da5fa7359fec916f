//! References that git writes are the repository's, in linked work trees too.

use std::process::Command;

use crate::place::{Place, git, head};

#[test]
fn references_that_git_writes_are_the_repositorys() {
    let place = Place::new();
    let view = place.view("theirs").unwrap();
    let head = view
        .git()
        .line("see HEAD", ["rev-parse", "HEAD"])
        .unwrap()
        .unwrap();
    view.git()
        .run("write", ["update-ref", "refs/banger/vm/x", &head])
        .unwrap();
    assert_eq!(git(&place.at("theirs"), &["rev-parse", "refs/banger/vm/x"]), head);
    view.git().run("write", ["pack-refs", "--all"]).unwrap();
    assert_eq!(git(&place.at("theirs"), &["rev-parse", "refs/banger/vm/x"]), head);
    assert!(!place.at("theirs/.git/packed-refs").is_symlink());
    drop(view);
    git(&place.at("theirs"), &["fsck", "--strict"]);
}

#[test]
fn references_in_tables_are_seen_in_linked_work_trees_too() {
    let place = Place::new();
    let made = Command::new("git")
        .args(["init", "-q", "-b", "main", "--ref-format=reftable", "tables"])
        .current_dir(place.path())
        .output()
        .unwrap();
    if !made.status.success() {
        // This git has no such format.
        return;
    }
    let dir = place.at("tables");
    git(&dir, &["commit", "-q", "--allow-empty", "-m", "one"]);
    git(&dir, &["worktree", "add", "-q", "-b", "other", "../other"]);
    git(
        &place.at("other"),
        &["commit", "-q", "--allow-empty", "-m", "two"],
    );
    for (name, subject, branch) in [("tables", "one", "main"), ("other", "two", "other")] {
        let view = place.view(name).unwrap();
        assert_eq!(head(&view), subject);
        let at = view
            .git()
            .line("see the branch", ["symbolic-ref", "--short", "HEAD"])
            .unwrap();
        assert_eq!(at.as_deref(), Some(branch));
        view.git()
            .run("write", ["update-ref", &format!("refs/banger/{name}/x"), "HEAD"])
            .unwrap();
        assert!(!git(&dir, &["rev-parse", &format!("refs/banger/{name}/x")]).is_empty());
    }
}
