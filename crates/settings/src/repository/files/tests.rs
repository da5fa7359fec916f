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
fn requirements_of_a_go_module_are_no_configuration() {
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
