//! What a watched directory tells.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;

fn add(watcher: &mut Watcher, root: &Path, dir: &str) {
    let held = Dir::open(&root.join(dir)).unwrap();
    watcher.add(Path::new(dir), &held).unwrap();
}

/// A tree in a directory of its own, of which these directories are watched.
fn watched(dirs: &[&str]) -> (tempfile::TempDir, PathBuf, Watcher) {
    let outside = tempfile::tempdir().unwrap();
    let root = outside.path().join("tree");
    fs::create_dir(&root).unwrap();
    let mut watcher = Watcher::new().unwrap();
    add(&mut watcher, &root, "");
    for dir in dirs {
        fs::create_dir(root.join(dir)).unwrap();
        add(&mut watcher, &root, dir);
    }
    (outside, root, watcher)
}

/// The paths that change by `doing`, but for the directories that were made before.
async fn told(watcher: &mut Watcher, doing: impl FnOnce()) -> Vec<String> {
    let _before = watcher.next().await.unwrap();
    doing();
    let changes = watcher.next().await.unwrap();
    assert!(!changes.lost && !changes.gone);
    let paths = changes.paths.iter();
    paths.map(|path| path.to_string_lossy().into_owned()).collect()
}

#[tokio::test]
async fn what_is_made_written_and_changed_is_named() {
    let (_outside, root, mut watcher) = watched(&["d"]);
    fs::write(root.join("mode"), "").unwrap();
    let paths = told(&mut watcher, || {
        fs::write(root.join("d/made"), "text").unwrap();
        fs::create_dir(root.join("dir")).unwrap();
        fs::set_permissions(root.join("mode"), PermissionsExt::from_mode(0o600)).unwrap();
        std::os::unix::fs::symlink("x", root.join("link")).unwrap();
    });
    assert_eq!(paths.await, ["d/made", "dir", "link", "mode"]);
}

#[tokio::test]
async fn deletions_and_renames_are_named() {
    let (outside, root, mut watcher) = watched(&["d"]);
    for file in ["d/gone", "d/old", "out"] {
        fs::write(root.join(file), "").unwrap();
    }
    let paths = told(&mut watcher, || {
        fs::remove_file(root.join("d/gone")).unwrap();
        fs::rename(root.join("d/old"), root.join("new")).unwrap();
        fs::rename(root.join("out"), outside.path().join("out")).unwrap();
    });
    assert_eq!(paths.await, ["d/gone", "d/old", "new", "out"]);
}

#[tokio::test]
async fn a_directory_that_moved_goes_by_its_new_name() {
    let (_outside, root, mut watcher) = watched(&["old"]);
    let moved = told(&mut watcher, || {
        fs::rename(root.join("old"), root.join("new")).unwrap()
    });
    assert_eq!(moved.await, ["new", "old"]);
    add(&mut watcher, &root, "new");
    watcher.forget(&BTreeSet::from(["old".into()]));
    fs::write(root.join("new/file"), "").unwrap();
    assert_eq!(
        watcher.next().await.unwrap().paths,
        BTreeSet::from(["new/file".into()])
    );
}

#[tokio::test]
async fn what_was_moved_out_is_watched_no_more() {
    let (outside, root, mut watcher) = watched(&["d", "d/e"]);
    let moved = told(&mut watcher, || {
        fs::rename(root.join("d"), outside.path().join("d")).unwrap()
    });
    assert_eq!(moved.await, ["d"]);
    watcher.forget(&BTreeSet::from(["d".into()]));
    fs::write(outside.path().join("d/e/file"), "").unwrap();
    fs::write(root.join("after"), "").unwrap();
    assert_eq!(
        watcher.next().await.unwrap().paths,
        BTreeSet::from(["after".into()])
    );
    assert_eq!(watcher.dirs.len(), 1);
}

#[tokio::test]
async fn a_thousand_changes_are_told_together() {
    let (_outside, root, mut watcher) = watched(&["d"]);
    let paths = told(&mut watcher, || {
        for number in 0..1000 {
            fs::write(root.join(format!("d/{number}")), "text").unwrap();
        }
    });
    assert_eq!(paths.await.len(), 1000);
}

#[tokio::test]
async fn more_changes_than_the_kernel_keeps_are_told_to_be_lost() {
    let (_outside, root, mut watcher) = watched(&[]);
    let most = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let most: u32 = most.trim().parse().unwrap();
    let files = [root.join("a"), root.join("b")];
    files.iter().for_each(|file| fs::write(file, "").unwrap());
    // The kernel joins two in a row that are the same.
    for number in 0..=most {
        let mode = PermissionsExt::from_mode(0o600 + (number & 0o77));
        fs::set_permissions(&files[number as usize % 2], mode).unwrap();
    }
    assert!(watcher.next().await.unwrap().lost);
    // And it goes on.
    fs::write(root.join("after"), "").unwrap();
    while !watcher.next().await.unwrap().paths.contains(Path::new("after")) {}
}

#[tokio::test]
async fn the_end_of_the_tree_is_told() {
    let (outside, root, mut watcher) = watched(&[]);
    fs::rename(&root, outside.path().join("elsewhere")).unwrap();
    assert!(watcher.next().await.unwrap().gone);
}
