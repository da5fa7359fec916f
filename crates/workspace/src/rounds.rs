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
    let status = crate::status(&place.target, &world.record()).await.unwrap();
    assert!(!status.unsaved, "{status:?}");

    world.write("guest/work", "kept", "one\ntwo\n");
    git(&guest, &["commit", "-q", "-m", "second", "kept"]);
    world.write("guest/work", "new", "loose\n");
    let status = crate::status(&place.target, &world.record()).await.unwrap();
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
