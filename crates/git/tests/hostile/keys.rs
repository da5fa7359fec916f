//! Keys of git's configuration: those of the repository that name programs or files, and the user's own.

use std::path::Path;

use banger_cases::refused;
use banger_git::of_user;

use crate::place::{Place, git};

/// Every key that git knows (its own list, for this version), and some that it does not list.
const KEYS: &str = include_str!("../keys.txt");

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
