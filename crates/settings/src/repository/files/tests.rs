//! Files by which a repository asks, and their digest.

use std::os::unix::fs::symlink;

use super::*;

fn with(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    dir
}

fn digest(dir: &tempfile::TempDir) -> Option<String> {
    Files::of(dir.path()).unwrap().digest
}

#[test]
fn whatever_shapes_a_vm_changes_the_digest() {
    assert_eq!(digest(&with(&[("README", "x")])), None);
    let base = [
        ("banger.toml", "net = \"nat\"\n"),
        (".tool-versions", "node 20\n"),
    ];
    let before = digest(&with(&base));
    assert_eq!(digest(&with(&base)), before);
    for (name, text) in [
        ("banger.toml", "net = \"learn\"\n"),
        (".tool-versions", "npm:evil 1\n"),
        ("mise.toml", "[hooks]\nenter = \"x\"\n"),
        (".config/mise/config.toml", "x"),
        (".config/mise/conf.d/a.toml", "x"),
        (".config/mise/config.ci.toml", "x"),
        ("mise/config.ci.local.toml", "x"),
        (".config/mise.ci.toml", "x"),
        ("mise.ci.toml", "x"),
        (".mise.ci.local.toml", "x"),
        ("mise.lock", "x"),
        (".miserc.toml", "env = [\"x\"]"),
        (".ruby-version", "3"),
        (".sdkmanrc", "java=21"),
        ("mise.local.toml", "x"),
        (".nvmrc", "20"),
    ] {
        let changed = with(&base);
        let path = changed.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        assert_ne!(digest(&changed), before, "{name}");
        let case: String = name
            .chars()
            .map(|c| if c.is_alphanumeric() { c } else { '-' })
            .collect();
        banger_cases::refused("trust", &format!("changed.{case}"));
    }
}

#[test]
fn another_file_of_the_same_content_is_another_configuration() {
    let text = "{}";
    let one = digest(&with(&[(".devcontainer.json", text)]));
    let other = digest(&with(&[(".devcontainer/devcontainer.json", text)]));
    assert_ne!(one, other);
}

#[test]
fn whatever_mise_reads_by_a_link_or_among_many_is_refused() {
    let linked = with(&[("banger.toml", ""), ("tools/a.toml", "x")]);
    for dir in [".config/mise", "mise"] {
        std::fs::create_dir_all(linked.path().join(dir)).unwrap();
        let link = linked.path().join(dir).join("conf.d");
        symlink("../tools", &link).unwrap();
        assert!(matches!(Files::of(linked.path()), Err(Error::Link(_))), "{dir}");
        std::fs::remove_file(link).unwrap();
    }
    let many = with(&[("banger.toml", "")]);
    let dir = many.path().join("mise/conf.d");
    std::fs::create_dir_all(&dir).unwrap();
    for number in 0..=MOST_FILES {
        std::fs::write(dir.join(format!("{number}.toml")), "").unwrap();
    }
    assert!(matches!(
        Files::of(many.path()),
        Err(Error::TooMany { count: 1001, .. })
    ));
    std::fs::remove_file(dir.join("0.toml")).unwrap();
    assert!(digest(&many).is_some());
    // A program of that name is none of these directories.
    let program = with(&[("banger.toml", ""), ("mise", "#!/bin/sh\n")]);
    assert_eq!(digest(&program), digest(&with(&[("banger.toml", "")])));
    banger_cases::refused("trust", "changed.behind-a-link-or-many");
}

#[test]
fn requirements_of_a_go_module_are_no_configuration() {
    let of = |text: &str| digest(&with(&[("go.mod", text)]));
    assert_ne!(of("module x\ngo\t1.22\n"), of("module x\ngo\t1.23\n"));
    assert_ne!(of("module x\n go 1.22\n"), of("module x\n go 1.23\n"));
    let one = digest(&with(&[("go.mod", "module m\n\ngo 1.22\n\nrequire a v1\n")]));
    assert_eq!(
        one,
        digest(&with(&[("go.mod", "module m\n\ngo 1.22\n\nrequire a v2\n")]))
    );
    assert_ne!(
        one,
        digest(&with(&[("go.mod", "module m\n\ngo 1.23\n\nrequire a v1\n")]))
    );
}

#[test]
fn a_link_leads_to_another_file_of_the_repository_and_nowhere_else() {
    let dir = with(&[("conf/banger.toml", "vcpus = 1\n")]);
    symlink("conf/banger.toml", dir.path().join("banger.toml")).unwrap();
    let before = digest(&dir);
    std::fs::write(dir.path().join("conf/banger.toml"), "vcpus = 2\n").unwrap();
    assert_ne!(digest(&dir), before, "what the link leads to counts");
    banger_cases::refused("trust", "changed.behind-a-link");
    for (case, target) in [
        ("absolute", "/etc/passwd"),
        ("above", "../../../../etc/passwd"),
        ("itself", "banger.toml"),
        ("proc", "/proc/self/environ"),
    ] {
        std::fs::remove_file(dir.path().join("banger.toml")).unwrap();
        symlink(target, dir.path().join("banger.toml")).unwrap();
        assert!(matches!(Files::of(dir.path()), Err(Error::Link(_))), "{target}");
        banger_cases::refused("trust", &format!("link.{case}"));
    }
}

#[test]
fn what_is_no_file_is_not_waited_for() {
    let dir = with(&[]);
    let fifo = dir.path().join("banger.toml");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    assert!(Files::of(dir.path()).unwrap().chosen.is_none());
    banger_cases::refused("trust", "named-pipe");
}

#[test]
fn a_byte_order_mark_is_none_of_the_text() {
    let dir = with(&[(".devcontainer.json", "\u{feff}{}")]);
    assert_eq!(Files::of(dir.path()).unwrap().chosen.unwrap().2, "{}");
}
