//! Repositories that bring their own git directory: what in them would lead git elsewhere is refused, and what is legitimate
//! works.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use banger_cases::refused;
use banger_git::{Error, Repository, View, of_user};

/// A directory with a repository `mine`, which is the user's and private, and `theirs`, which came from elsewhere.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        for name in ["mine", "theirs"] {
            git(place.path(), &["init", "-q", "-b", "main", name]);
            let dir = place.at(name);
            std::fs::write(dir.join("file"), name).unwrap();
            git(&dir, &["add", "."]);
            git(&dir, &["commit", "-q", "-m", name]);
        }
        place
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn at(&self, name: &str) -> PathBuf {
        self.path().canonicalize().unwrap().join(name)
    }

    fn view(&self, name: &str) -> Result<View, Error> {
        View::of(Repository::around(&self.at(name))?, &self.at("scratch"))
    }
}

fn git(dir: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "protocol.file.allow=always"])
        .args(args)
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .envs([("GIT_AUTHOR_NAME", "a"), ("GIT_AUTHOR_EMAIL", "a@b")])
        .envs([("GIT_COMMITTER_NAME", "a"), ("GIT_COMMITTER_EMAIL", "a@b")])
        .output()
        .unwrap();
    assert!(output.status.success(), "{args:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn head(view: &View) -> String {
    let args = ["log", "-1", "--format=%s"];
    view.git().line("see HEAD", args).unwrap().unwrap()
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
        assert!(seen.unwrap_err().hint().is_some());
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
    let hint = error.hint().unwrap();
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
    let hint = error.hint().unwrap();
    let line = hint.split('`').nth(5).unwrap();
    assert!(
        Command::new("sh").args(["-c", line]).status().unwrap().success(),
        "{hint}"
    );
    assert_eq!(head(&place.view("theirs").unwrap()), "theirs");
}

/// Every key that git knows (its own list, for this version), and some that it does not list.
const KEYS: &str = include_str!("keys.txt");

#[test]
fn no_key_that_names_a_program_or_a_file_is_heeded() {
    let place = Place::new();
    let file = place.at("theirs/.git/config");
    let mut text = std::fs::read_to_string(&file).unwrap();
    let mut keys = Vec::new();
    for line in KEYS.lines() {
        let (class, key) = line.split_once(' ').unwrap();
        if class == "plain" {
            continue;
        }
        // `<name>` stands for any name, `*` for more of the key.
        let mut key = key.replace(".*", ".helper");
        while let (Some(open), Some(close)) = (key.find('<'), key.find('>')) {
            key.replace_range(open..=close, "evil");
        }
        banger_git::write(&mut text, &key, "/tmp/evil");
        keys.push((class, key));
    }
    std::fs::write(&file, text).unwrap();
    let view = place.view("theirs").unwrap();
    let listed = view
        .git()
        .run("list", ["config", "--local", "--list", "--name-only"])
        .unwrap();
    let listed = String::from_utf8(listed).unwrap().to_lowercase();
    for (class, key) in keys {
        assert!(
            !listed.lines().any(|known| known == key.to_lowercase()),
            "{class} {key} is heeded"
        );
        refused(
            "git",
            &format!("config.{}", key.to_lowercase().replace(['*', '/', ' '], "_")),
        );
    }
    assert!(
        view.git()
            .run("list", ["config", "--get", "core.filemode"])
            .is_ok()
    );
}

/// A git that has a key which nobody here classified: it may name a program.
#[test]
fn every_key_of_this_git_is_classified() {
    let listed = git(Path::new("/"), &["help", "--config"]);
    let known: Vec<&str> = KEYS
        .lines()
        .filter_map(|line| Some(line.split_once(' ')?.1))
        .collect();
    let new: Vec<&str> = listed
        .lines()
        .filter(|key| key.contains('.') && !key.contains(' ') && !known.contains(key))
        .collect();
    assert!(
        new.is_empty(),
        "this git has keys that crates/git/tests/keys.txt does not have; write `program`, `file` or `plain` before each, and \
         see that crates/git/src/settings.rs heeds none that is not plain: {new:?}"
    );
}

#[test]
fn conditions_of_the_users_own_settings_count() {
    let place = Place::new();
    let theirs = place.at("theirs");
    git(&theirs, &["remote", "add", "origin", "https://example.org/a"]);
    let text = format!(
        "[user]\n\tname = me\n[includeIf \"gitdir:{}/\"]\n\tpath = {}\n[includeIf \"hasconfig:remote.*.url:https://example.org/**\"]\n\tpath = {}\n",
        theirs.display(),
        place.at("one").display(),
        place.at("two").display()
    );
    std::fs::write(place.at("one"), "[user]\n\temail = here@me\n").unwrap();
    std::fs::write(place.at("two"), "[user]\n\tname = other\n").unwrap();
    std::fs::write(place.at("global"), text).unwrap();
    // What `View` does, with a global configuration of the test's.
    let view = place.view("theirs").unwrap();
    let git = view.git().with("GIT_CONFIG_GLOBAL", place.at("global"));
    assert!(
        of_user(&git)
            .unwrap()
            .iter()
            .any(|setting| setting.key.starts_with("includeif."))
    );
    let found = view.user_of(&git).unwrap();
    let value = |key: &str| {
        found
            .iter()
            .rev()
            .find(|setting| setting.key == key)
            .map(|setting| setting.value.clone())
    };
    assert_eq!(value("user.email").as_deref(), Some("here@me"));
    assert_eq!(value("user.name").as_deref(), Some("other"));
}

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

/// Makes a named pipe, with what is above it.
fn pipe(path: &Path) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
}

/// A submodule that is checked out in `theirs`, its git directory in place.
fn submodule(place: &Place) {
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
