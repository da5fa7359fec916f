//! Whole rounds: a repository goes into a guest, work is done there, and comes back. The guest is a directory of this host, and its
//! git is this host's.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use banger_api::{UnsavedWorkspace, WorkspaceQuery, WorkspaceRequest};
use banger_request::Reporter;
use futures_util::TryStreamExt;

use crate::inspect::unsaved_within;
use crate::testing::Directory;
use crate::{Error, GuestError, Place, Record, Records, Target};

const AT: &str = "/work";

/// A repository of the host's with one commit, and a VM.
struct World {
    dir: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let world = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        for dir in ["host", "guest", "files", "scratch"] {
            std::fs::create_dir(world.at(dir)).unwrap();
        }
        git(&world.at("host"), &["init", "-q", "-b", "main"]);
        world.write("host", "kept", "one\n");
        world.write("host", "edited", "one\n");
        git(&world.at("host"), &["add", "."]);
        git(&world.at("host"), &["commit", "-q", "-m", "first"]);
        world
    }

    fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn write(&self, dir: &str, name: &str, text: &str) {
        std::fs::write(self.at(dir).join(name), text).unwrap();
    }

    fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.at(path)).unwrap_or_default()
    }

    fn records(&self) -> Records {
        Records::of(&self.at("files"))
    }

    fn place(&self, guest: Directory) -> Place {
        Place {
            vm: "web".to_owned(),
            target: Target::new(guest, ""),
            records: self.records(),
            others: vec![Records::of(&self.at("files-of-another"))],
            git_identity: true,
            scratch: self.at("scratch"),
            say: Reporter::default(),
        }
    }

    /// The VM after the repository as it is went into it.
    async fn placed(&self) -> Place {
        let place = self.place(Directory::new(&self.at("guest")));
        crate::prepare(place.clone(), self.request()).await.unwrap();
        place
    }

    fn request(&self) -> WorkspaceRequest {
        WorkspaceRequest {
            path: self.at("host"),
            guest_path: AT.to_owned(),
            ..WorkspaceRequest::default()
        }
    }

    fn record(&self) -> Record {
        crate::chosen(&self.records(), "web", None).unwrap()
    }
}

fn git(dir: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .args([
            "-c",
            "user.name=a",
            "-c",
            "user.email=a@b",
            "-c",
            "commit.gpgsign=false",
        ])
        .args(args)
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(output.status.success(), "git {args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// What the host does not have, from a guest that may take its time: this host may have other work.
async fn left_behind(place: &Place, world: &World) -> Vec<UnsavedWorkspace> {
    let patience = Duration::from_secs(60);
    unsaved_within(patience, Some(place.target.clone()), &world.records()).await
}

#[tokio::test]
async fn work_goes_in_and_comes_back_and_is_merged() {
    let world = World::new();
    world.write("host", "edited", "changed here\n");
    world.write("host", "untracked", "too\n");
    let place = world.placed().await;
    assert_eq!(world.read("guest/work/edited"), "changed here\n");
    assert_eq!(world.read("guest/work/untracked"), "too\n");
    let guest = world.at("guest/work");
    assert_eq!(git(&guest, &["log", "-1", "--format=%s", "HEAD"]), "first");
    let status = crate::status(&place.target, &world.records(), &world.record())
        .await
        .unwrap();
    assert!(!status.unsaved, "{status:?}");

    world.write("guest/work", "kept", "one\ntwo\n");
    git(&guest, &["commit", "-q", "-m", "second", "kept"]);
    world.write("guest/work", "new", "loose\n");
    let status = crate::status(&place.target, &world.records(), &world.record())
        .await
        .unwrap();
    assert!(status.unsaved && status.commits == 1, "{status:?}");
    let unsaved = left_behind(&place, &world).await;
    assert!(unsaved.len() == 1 && unsaved[0].known, "{unsaved:?}");

    let before = git(&world.at("host"), &["count-objects", "-v"]);
    let pulled = crate::pull(&place, world.record()).await.unwrap();
    assert!(pulled.uncommitted, "{pulled:?}");
    let tip = pulled.tip.unwrap();
    assert_eq!(git(&world.at("host"), &["show", &format!("{tip}:new")]), "loose");
    // As a pack that was whole when it appeared: git itself had nothing to write.
    let counted = git(&world.at("host"), &["count-objects", "-v"]);
    assert!(
        counted.contains("packs: 1\n") && counted.contains("garbage: 0\n"),
        "{counted}"
    );
    assert_eq!(counted.lines().next(), before.lines().next(), "loose objects");
    assert!(left_behind(&place, &world).await.is_empty());
    // Until it is applied, the work tree is as it was.
    assert_eq!(world.read("host/kept"), "one\n");
    crate::apply(
        "web".to_owned(),
        world.records(),
        world.record(),
        world.at("scratch"),
    )
    .await
    .unwrap();
    assert_eq!(world.read("host/kept"), "one\ntwo\n");
    assert_eq!(world.read("host/edited"), "changed here\n");
    assert_eq!(world.read("host/new"), "loose\n");
}

#[tokio::test]
async fn what_the_guest_changed_is_not_written_over_unless_by_force() {
    let world = World::new();
    let place = world.placed().await;
    world.write("guest/work", "edited", "the guest's, longer\n");
    world.write("host", "edited", "the host's, longer still\n");
    let refused = crate::prepare(place.clone(), world.request()).await;
    let Err(Error::Conflicts { paths, .. }) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(paths, ["edited"]);
    assert_eq!(world.read("guest/work/edited"), "the guest's, longer\n");
    let forced = WorkspaceRequest {
        force: true,
        ..world.request()
    };
    crate::prepare(place, forced).await.unwrap();
    assert_eq!(world.read("guest/work/edited"), "the host's, longer still\n");
}

#[tokio::test]
async fn a_second_time_sends_what_differs() {
    let world = World::new();
    let place = world.placed().await;
    world.write("host", "edited", "changed\n");
    std::fs::remove_file(world.at("host/kept")).unwrap();
    let report = crate::prepare(place.clone(), world.request()).await.unwrap();
    assert_eq!(report.sent_files, 1);
    assert_eq!(world.read("guest/work/edited"), "changed\n");
    assert!(!world.at("guest/work/kept").exists());
    let report = crate::prepare(place, world.request()).await.unwrap();
    assert_eq!(report.sent_files, 0);
}

#[tokio::test]
async fn a_patch_is_what_the_guest_changed_alone() {
    let world = World::new();
    world.write("host", "edited", "changed here\n");
    let place = world.placed().await;
    world.write("guest/work", "kept", "two\n");
    let query = WorkspaceQuery::default();
    let patch = crate::patch(&place.target, &world.record(), &query, &place.scratch).await;
    let patch: Vec<_> = patch.unwrap().try_collect().await.unwrap();
    let patch = String::from_utf8(patch.concat()).unwrap();
    assert!(
        patch.contains("-one\n+two\n") && !patch.contains("changed here"),
        "{patch}"
    );
}

#[tokio::test]
async fn a_repository_that_is_gone_in_the_guest_brings_nothing_back() {
    let world = World::new();
    let place = world.placed().await;
    std::fs::remove_dir_all(world.at("guest/work/.git")).unwrap();
    let pulled = crate::pull(&place, world.record()).await;
    assert!(matches!(pulled, Err(Error::Guest(GuestError::Lost(path))) if path == AT));
    let unsaved = left_behind(&place, &world).await;
    assert!(unsaved.len() == 1 && !unsaved[0].known, "{unsaved:?}");
}

#[tokio::test]
async fn another_directory_of_the_guest_is_left_alone() {
    let world = World::new();
    std::fs::create_dir(world.at("guest/work")).unwrap();
    world.write("guest/work", "mine", "mine");
    let place = world.place(Directory::new(&world.at("guest")));
    let refused = crate::prepare(place, world.request()).await;
    assert!(matches!(refused, Err(Error::Foreign(path)) if path == AT));
    assert_eq!(world.read("guest/work/mine"), "mine");
}

/// A guest whose git fails at some of the files.
async fn cannot_tell(world: &World, place: &Place, what: &str) {
    let status = crate::status(&place.target, &world.records(), &world.record())
        .await
        .unwrap();
    assert!(status.unsaved && !status.notes.is_empty(), "{what}: {status:?}");
    let unsaved = left_behind(place, world).await;
    assert!(unsaved.len() == 1 && !unsaved[0].known, "{what}: {unsaved:?}");
    let query = WorkspaceQuery::default();
    let patch = crate::patch(&place.target, &world.record(), &query, &place.scratch).await;
    assert!(
        matches!(&patch, Err(Error::Guest(GuestError::Partial { .. }))),
        "{what}"
    );
    let pulled = crate::pull(place, world.record()).await.unwrap();
    assert!(
        pulled.left.is_some() && !pulled.notes.is_empty(),
        "{what}: {pulled:?}"
    );
    // A VM that does not run counts with what was seen, and a pull has not changed that.
    let unsaved = crate::unsaved(None, &world.records()).await;
    assert!(unsaved.len() == 1 && !unsaved[0].known, "{what}: {unsaved:?}");
}

#[tokio::test]
async fn a_guest_whose_git_fails_has_unsaved_work() {
    for (what, attributes) in [
        ("a required filter", "* filter=x\n"),
        ("an encoding", "* working-tree-encoding=UTF-16\n"),
    ] {
        let world = World::new();
        let place = world.placed().await;
        let guest = world.at("guest/work");
        git(&guest, &["config", "filter.x.clean", "false"]);
        git(&guest, &["config", "filter.x.required", "true"]);
        world.write("guest/work", ".gitattributes", attributes);
        world.write("guest/work", "precious", "w\n");
        cannot_tell(&world, &place, what).await;
    }
    for name in [".GIT", ".gi\u{200c}t"] {
        let world = World::new();
        let place = world.placed().await;
        std::fs::create_dir(world.at("guest/work").join(name)).unwrap();
        world.write("guest/work", &format!("{name}/config"), "w\n");
        world.write("guest/work", "new", "w\n");
        cannot_tell(&world, &place, name).await;
        // The rest came.
        let shown = git(&world.at("host"), &["show", "refs/banger/web/work:new"]);
        assert_eq!(shown, "w");
    }
}

#[tokio::test]
async fn what_was_seen_before_a_guest_went_silent_no_longer_counts() {
    let world = World::new();
    let place = world.placed().await;
    crate::pull(&place, world.record()).await.unwrap();
    assert!(crate::unsaved(None, &world.records()).await.is_empty());
    std::fs::remove_dir_all(world.at("guest/work/.git")).unwrap();
    assert_eq!(left_behind(&place, &world).await.len(), 1);
    let unsaved = crate::unsaved(None, &world.records()).await;
    assert!(unsaved.len() == 1 && !unsaved[0].known, "{unsaved:?}");
}

#[tokio::test]
async fn repositories_that_were_made_in_the_guest_are_unsaved_work() {
    let world = World::new();
    // A submodule of the host's, which is not checked out.
    let other = World::new();
    let url = other.at("host");
    let file = ["-c", "protocol.file.allow=always", "submodule", "--quiet", "add"];
    git(
        &world.at("host"),
        &[&file[..], &[url.to_str().unwrap(), "module"]].concat(),
    );
    git(&world.at("host"), &["commit", "-q", "-m", "module"]);
    git(
        &world.at("host"),
        &["submodule", "--quiet", "deinit", "-f", "module"],
    );
    let place = world.placed().await;
    let status = crate::status(&place.target, &world.records(), &world.record()).await;
    let status = status.unwrap();
    assert!(!status.unsaved && status.notes.is_empty(), "{status:?}");
    assert!(left_behind(&place, &world).await.is_empty());

    let lib = world.at("guest/work/lib");
    std::fs::create_dir(&lib).unwrap();
    git(&lib, &["init", "-q"]);
    world.write("guest/work/lib", "f", "w\n");
    for is_committed in [false, true] {
        if is_committed {
            git(&lib, &["add", "f"]);
            git(&lib, &["commit", "-q", "-m", "lib"]);
        }
        let status = crate::status(&place.target, &world.records(), &world.record()).await;
        let status = status.unwrap();
        assert!(
            status.unsaved && status.notes.iter().any(|note| note.contains("lib")),
            "{status:?}"
        );
        let pulled = crate::pull(&place, world.record()).await.unwrap();
        assert!(
            pulled.left.is_some() && pulled.notes.iter().any(|note| note.contains("lib")),
            "{pulled:?}"
        );
        let unsaved = crate::unsaved(None, &world.records()).await;
        assert!(unsaved.len() == 1 && !unsaved[0].known, "{unsaved:?}");
    }
}

/// A commit of a tree that has one object of 50 MiB under 200 names, none of which is in the work tree.
fn commit_of_too_much(repository: &Path) -> String {
    let big = repository.join(".git/big");
    std::fs::File::create(&big).unwrap().set_len(50 << 20).unwrap();
    let object = git(repository, &["hash-object", "-w", ".git/big"]);
    std::fs::remove_file(&big).unwrap();
    for number in 0..200 {
        let entry = format!("100644,{object},big{number}");
        git(repository, &["update-index", "--add", "--cacheinfo", &entry]);
        git(
            repository,
            &["update-index", "--skip-worktree", &format!("big{number}")],
        );
    }
    git(repository, &["commit", "-q", "-m", "big"]);
    git(repository, &["rev-parse", "HEAD"])
}

#[tokio::test]
async fn a_tree_that_names_one_object_often_is_not_written() {
    let world = World::new();
    let place = world.placed().await;
    let guest = world.at("guest/work");
    commit_of_too_much(&guest);
    crate::pull(&place, world.record()).await.unwrap();
    let (records, record) = (world.records(), world.record());
    let applied = crate::apply("web".to_owned(), records, record, world.at("scratch")).await;
    assert!(
        matches!(&applied, Err(Error::TooLarge { files: 200, bytes, .. }) if *bytes == 200 * (50 << 20)),
        "{applied:?}"
    );
    assert!(!world.at("host/big0").exists());

    let world = World::new();
    commit_of_too_much(&world.at("host"));
    let request = WorkspaceRequest {
        mode: banger_api::WorkspaceMode::Clean,
        ..world.request()
    };
    let planned = crate::preview(request, world.at("scratch")).await;
    assert!(
        matches!(&planned, Err(Error::TooLarge { files: 200, .. })),
        "{planned:?}"
    );
    banger_cases::refused("budget", "workspace.one-object-under-many-names");
}

#[tokio::test]
async fn links_that_lead_out_are_not_applied_and_others_are() {
    let world = World::new();
    let nested = world.at("host/nested");
    std::fs::create_dir_all(&nested).unwrap();
    git(&nested, &["init", "-q"]);
    let place = world.placed().await;
    let link = |target: &str, name: &str| {
        std::os::unix::fs::symlink(target, world.at("guest/work").join(name)).unwrap();
    };
    std::fs::create_dir_all(world.at("guest/work/d/e")).unwrap();
    link("../..", "d/e/f");
    link("d/e", "within");
    link("d/e/f/kept", "through");
    for (target, name) in [
        ("d/e/f/../../outside", "l2"),
        ("d/e/f/.git/hooks", "l3"),
        ("nested/.git/hooks", "hk"),
    ] {
        link(target, name);
        crate::pull(&place, world.record()).await.unwrap();
        let (records, record) = (world.records(), world.record());
        let applied = crate::apply("web".to_owned(), records, record, world.at("scratch")).await;
        assert!(
            matches!(&applied, Err(Error::ApplyConflicts { paths, .. }) if paths == &[format!("{name} (leads out of the work tree)")]),
            "{applied:?}"
        );
        assert!(!world.at("host/within").is_symlink());
        std::fs::remove_file(world.at("guest/work").join(name)).unwrap();
    }
    crate::pull(&place, world.record()).await.unwrap();
    let (records, record) = (world.records(), world.record());
    crate::apply("web".to_owned(), records, record, world.at("scratch"))
        .await
        .unwrap();
    assert!(world.at("host/within").is_symlink() && world.at("host/d/e/f").is_symlink());
    assert_eq!(world.read("host/through"), "one\n");
}

/// Writes an index with these paths, each with the same object: git itself makes none of most of them.
fn write_index(repository: &Path, paths: &[&str]) {
    let object = git(repository, &["rev-parse", "HEAD:kept"]);
    let object: Vec<u8> = (0..object.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&object[at..at + 2], 16).unwrap())
        .collect();
    let mut index = b"DIRC".to_vec();
    for number in [2, paths.len() as u32] {
        index.extend(number.to_be_bytes());
    }
    for path in paths {
        let mut entry = Vec::new();
        for number in [0, 0, 0, 0, 0, 0, 0o100_644, 0, 0, 4_u32] {
            entry.extend(number.to_be_bytes());
        }
        entry.extend(&object);
        entry.extend((path.len() as u16).to_be_bytes());
        entry.extend(path.as_bytes());
        entry.resize(entry.len() / 8 * 8 + 8, 0);
        index.extend(entry);
    }
    // No checksum, which `index.skipHash` writes.
    index.extend([0; 20]);
    std::fs::write(repository.join(".git/index"), index).unwrap();
}

#[tokio::test]
async fn entries_that_git_would_not_make_stay_on_the_host() {
    let world = World::new();
    std::fs::create_dir(world.at("outside")).unwrap();
    world.write("outside", "secret", "one\n");
    write_index(
        &world.at("host"),
        &["../outside/secret", ".git/config", "edited", "kept"],
    );
    let plan = crate::preview(world.request(), world.at("scratch"))
        .await
        .unwrap();
    let listed: Vec<&str> = plan.files.iter().map(|file| &file.path[..]).collect();
    assert_eq!(listed, ["edited", "kept"]);
    let omitted: Vec<&str> = plan.omitted.iter().map(|file| &file.path[..]).collect();
    assert_eq!(omitted, ["../outside/secret", ".git/config"]);
    world.placed().await;
    assert_eq!(git(&world.at("guest/work"), &["ls-files"]), "edited\nkept");
    assert_eq!(git(&world.at("guest/work"), &["status", "--porcelain"]), "");
    assert!(!world.at("guest/outside").exists());
    banger_cases::refused("git", "workspace.index-entry-outside");
    banger_cases::refused("git", "workspace.index-entry-of-git");
}
