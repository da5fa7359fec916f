//! Which files a synchronisation leaves out.

use std::process::Command;

use super::*;

fn git(dir: &Path, args: &[&str]) {
    let ran = Command::new("git")
        .arg("-C")
        .arg(dir)
        .args(args)
        .output()
        .unwrap();
    assert!(ran.status.success(), "{args:?}: {ran:?}");
}

/// A repository, and a directory in it.
fn repository(files: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let repository = dir.path().canonicalize().unwrap();
    git(&repository, &["init", "-q"]);
    for (path, text) in files {
        let path = repository.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    (dir, repository)
}

fn ignored(root: &Path, extent: Extent) -> Ignored {
    Ignored::new(root, Arc::new(Dir::open(root).unwrap()), extent)
}

#[test]
fn patterns_of_all_places_count() {
    let (_dir, repository) = repository(&[
        (".git/info/exclude", "excluded\n"),
        (".gitignore", "*.log\n/in/top\n"),
        ("in/.gitignore", "target/\n!kept.log\n"),
        ("in/deep/.gitignore", "!deep.log\n"),
        (".bangerignore", "data\n"),
    ]);
    let mut named = ignored(&repository.join("in"), Extent::Usual);
    let mut is = |path: &str, is_dir| named.is(Path::new(path), is_dir);
    for path in [
        "a.log",
        "deep/a.log",
        "target/x",
        "data",
        "data/x",
        "excluded",
        "top",
        ".git",
        ".git/x",
        "deep/.git/y",
    ] {
        assert!(is(path, false), "{path}");
    }
    for path in [
        "a",
        "kept.log",
        "deep/kept.log",
        "deep/deep.log",
        "target",
        "deep/top",
        ".gitignore",
    ] {
        assert!(!is(path, false), "{path}");
    }
    assert!(is("target", true));
    let mut all = ignored(&repository.join("in"), Extent::All);
    assert!(!all.is(Path::new("a.log"), false) && all.is(Path::new("deep/.git/x"), false));
}

#[test]
fn what_is_tracked_goes_unless_we_name_it() {
    let (_dir, repository) = repository(&[
        (".gitignore", "made/\n*.log\n"),
        (".bangerignore", "private\n"),
        ("made/kept/file", ""),
        ("made/kept/other", ""),
        ("made/more/file", ""),
        ("kept.log", ""),
        ("private", ""),
    ]);
    git(
        &repository,
        &["add", "-f", "made/kept/file", "kept.log", "private"],
    );
    let mut named = ignored(&repository, Extent::Usual);
    let mut is = |path: &str, is_dir| {
        let path = Path::new(path);
        let is = named.is(path, is_dir);
        // One that walks meets no path in a directory that is ignored.
        assert!(is || !named.itself(path, is_dir), "{}", path.display());
        is
    };
    assert!(!is("made", true) && !is("made/kept", true) && !is("made/kept/file", false));
    assert!(!is("kept.log", false));
    assert!(is("made/kept/other", false) && is("made/more", true) && is("made/x", false));
    assert!(is("other.log", false));
    assert!(is("private", false));
}

#[test]
fn what_looks_like_a_secret_stays_unless_it_is_tracked() {
    let (_dir, repository) = repository(&[(".env", ""), ("in/.env", ""), ("in/key.pem", ""), ("a", "")]);
    git(&repository, &["add", "in/.env", "a"]);
    let suspicion = |extent, path: &str| ignored(&repository, extent).suspicion(Path::new(path));
    for path in [".env", "in/key.pem"] {
        assert!(suspicion(Extent::Usual, path).is_some(), "{path}");
        assert!(suspicion(Extent::WithSecrets, path).is_none(), "{path}");
        assert!(suspicion(Extent::All, path).is_none(), "{path}");
    }
    assert!(suspicion(Extent::Usual, "in/.env").is_none());
    // Below the top, paths begin there.
    let within = ignored(&repository.join("in"), Extent::Usual);
    assert!(within.suspicion(Path::new(".env")).is_none());
}

#[test]
fn no_pattern_of_gits_brings_back_what_we_name() {
    let (_dir, repository) = repository(&[
        (".bangerignore", "data\n"),
        (".gitignore", "*.o\n"),
        ("in/.gitignore", "!data\n"),
        ("in/.bangerignore", "!x.o\n"),
    ]);
    let mut named = ignored(&repository, Extent::Usual);
    assert!(named.is(Path::new("in/data"), false));
    assert!(named.is(Path::new("in/x.o"), false));
}

#[test]
fn that_git_is_not_asked_is_no_secret() {
    let (_dir, repository) = repository(&[(".gitignore", "*.log\n"), ("a.log", "")]);
    git(&repository, &["add", "-f", "a.log"]);
    assert_eq!(ignored(&repository, Extent::Usual).unasked(), None);
    std::fs::rename(repository.join(".git/index"), repository.join("index")).unwrap();
    std::os::unix::fs::symlink("../index", repository.join(".git/index")).unwrap();
    let why = ignored(&repository, Extent::Usual).unasked().unwrap();
    assert!(why.contains(".git/index is a symbolic link"), "{why}");
    // Nobody wants git to be asked.
    assert_eq!(ignored(&repository, Extent::All).unasked(), None);
    std::fs::remove_dir_all(repository.join(".git")).unwrap();
    std::fs::create_dir(repository.join(".git")).unwrap();
    assert_eq!(ignored(&repository, Extent::Usual).unasked(), None);
}

#[test]
fn patterns_in_a_pipe_are_none_and_nobody_waits_for_them() {
    let (_dir, repository) = repository(&[
        (".gitignore", "*.log\n"),
        ("in/kept.log", ""),
        ("in/other.log", ""),
        ("in/x", ""),
    ]);
    git(&repository, &["add", "-f", "in/kept.log", "in/x"]);
    for name in [".gitignore", ".bangerignore", ".gitattributes", ".gitmodules"] {
        let pipe = repository.join("in").join(name);
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, 0o600.into()).unwrap();
        let since = std::time::Instant::now();
        let mut named = ignored(&repository, Extent::Usual);
        assert!(named.is(Path::new("in/other.log"), false));
        assert!(!named.is(Path::new("in/kept.log"), false) && !named.is(Path::new("in/x"), false));
        assert!(since.elapsed().as_secs() < 20, "{name}");
        std::fs::remove_file(pipe).unwrap();
        banger_cases::refused("git", &format!("sync.pipe{}", name));
    }
}

#[test]
fn a_linked_work_tree_has_its_repositorys_own_patterns() {
    let (dir, repository) = repository(&[(".git/info/exclude", "excluded\n")]);
    let author = ["-c", "user.name=a", "-c", "user.email=a@b"];
    git(
        &repository,
        &[&author[..], &["commit", "-q", "--allow-empty", "-m", "a"]].concat(),
    );
    let linked = dir.path().canonicalize().unwrap().join("linked");
    git(&repository, &["worktree", "add", "-q", linked.to_str().unwrap()]);
    assert!(ignored(&linked, Extent::Usual).is(Path::new("excluded"), false));
}
