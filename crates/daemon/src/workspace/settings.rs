//! What the guest's repository is told: where it came from, whose commits are made, how files are checked out. Nothing else
//! of the user's configuration goes; above all no program to run and no password.

use std::fmt::Write;
use std::path::Path;

use super::Error;
use super::git::{Git, records};

/// Settings that go from wherever the user has them.
const ANYWHERE: [&str; 5] = [
    "core.autocrlf",
    "core.eol",
    "core.filemode",
    "user.email",
    "user.name",
];

/// Settings that go from the repository itself.
const LOCAL: [&str; 5] = [
    "core.symlinks",
    "core.ignorecase",
    "core.sparsecheckout",
    "core.sparsecheckoutcone",
    "index.sparse",
];

/// Of those, the ones that say whose commits are made.
const IDENTITY: [&str; 2] = ["user.name", "user.email"];

/// Whose commits are made outside of any repository, as a file; nothing if nobody's, or without git.
pub(crate) fn of_user() -> Option<String> {
    let asked = ["config", "-z", "--get-regexp", r"^user\.(name|email)$"];
    // It fails when there are none, too.
    let listed = Git::in_dir(Path::new("/"))
        .run("tell whose commits are made", asked)
        .ok()?;
    let mut text = String::new();
    for record in records(&listed) {
        let record = String::from_utf8_lossy(record);
        if let Some((key, value)) = record.split_once('\n') {
            section(&mut text, key, value);
        }
    }
    Some(text)
}

/// The guest's configuration, as a file, with whose commits are made or without.
pub(crate) fn for_guest(git: &Git, as_is: bool, with_identity: bool) -> Result<String, Error> {
    let what = "tell its object format";
    let format = git.line(what, ["rev-parse", "--show-object-format"])?;
    let mut text = String::new();
    match format.as_deref() {
        None | Some("sha1") => section(&mut text, "core.repositoryformatversion", "0"),
        Some(format) => {
            section(&mut text, "core.repositoryformatversion", "1");
            section(&mut text, "extensions.objectformat", format);
        }
    }
    for (key, value) in [
        ("core.bare", "false"),
        ("core.logallrefupdates", "true"),
        // Of a file's facts only size and time are what they are on the host.
        ("core.checkstat", "minimal"),
        ("core.trustctime", "false"),
    ] {
        section(&mut text, key, value);
    }
    let listed = git.run("list its settings", ["config", "--list", "-z", "--show-scope"])?;
    let mut parts = records(&listed).map(|part| String::from_utf8_lossy(part).into_owned());
    while let (Some(scope), Some(setting)) = (parts.next(), parts.next()) {
        let Some((key, value)) = setting.split_once('\n') else {
            continue;
        };
        if goes(&scope, key, as_is) && (with_identity || !IDENTITY.contains(&key)) {
            let value = if key.ends_with(".url") {
                without_password(value)
            } else {
                value.to_owned()
            };
            section(&mut text, key, &value);
        }
    }
    Ok(text)
}

fn goes(scope: &str, key: &str, as_is: bool) -> bool {
    if ANYWHERE.contains(&key) {
        return true;
    }
    if scope != "local" && scope != "worktree" {
        return false;
    }
    let (first, last) = (key.split('.').next(), key.rsplit('.').next());
    match (first, last) {
        (Some("submodule"), Some("url" | "active")) => true,
        (Some("remote"), Some("url" | "fetch")) => true,
        (Some("branch"), Some("remote" | "merge")) => true,
        // A checkout of a commit alone is a whole one.
        _ => LOCAL.contains(&key) && (as_is || !key.contains("sparse")),
    }
}

/// One setting (git-config(1), "Syntax").
fn section(text: &mut String, key: &str, value: &str) {
    let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let (Some((section, _)), Some((rest, name))) = (key.split_once('.'), key.rsplit_once('.')) else {
        return;
    };
    let value = quoted(value).replace('\n', "\\n").replace('\t', "\\t");
    // Writing to a string does not fail.
    let _ = match rest.strip_prefix(section).and_then(|rest| rest.strip_prefix('.')) {
        Some(sub) => writeln!(text, "[{section} \"{}\"]", quoted(sub)),
        None => writeln!(text, "[{section}]"),
    };
    let _ = writeln!(text, "\t{name} = \"{value}\"");
}

/// The guest knows where the repository came from, but no password that someone wrote into the address.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let (authority, path) = rest
        .split_once('/')
        .map_or((rest, None), |(host, path)| (host, Some(path)));
    let host = match authority.rsplit_once('@') {
        // A user name alone is part of how SSH addresses are written; a token is not.
        Some((user, host)) if scheme == "ssh" => {
            let user = user.split(':').next().unwrap_or_default();
            format!("{user}@{host}")
        }
        Some((_, host)) => host.to_owned(),
        None => authority.to_owned(),
    };
    match path {
        Some(path) => format!("{scheme}://{host}/{path}"),
        None => format!("{scheme}://{host}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_keeps_its_host_and_loses_its_password() {
        for (url, kept) in [
            ("https://token@example.org/a/b.git", "https://example.org/a/b.git"),
            ("https://me:pw@example.org/a", "https://example.org/a"),
            ("ssh://git:pw@example.org/a", "ssh://git@example.org/a"),
            ("git@example.org:a/b.git", "git@example.org:a/b.git"),
            ("/srv/a.git", "/srv/a.git"),
        ] {
            assert_eq!(without_password(url), kept);
        }
    }

    #[test]
    fn only_what_is_harmless_goes() {
        for key in [
            "user.name",
            "remote.origin.url",
            "branch.a.b.merge",
            "submodule.x.url",
        ] {
            assert!(goes("local", key, true), "{key}");
        }
        for key in [
            "core.fsmonitor",
            "core.sshcommand",
            "core.hookspath",
            "filter.lfs.clean",
            "credential.helper",
            "http.extraheader",
            "remote.origin.uploadpack",
            "alias.x",
        ] {
            assert!(!goes("local", key, true), "{key}");
        }
        assert!(!goes("global", "remote.origin.url", true));
        assert!(!goes("local", "core.sparsecheckout", false));
    }

    #[test]
    fn settings_are_written_as_git_reads_them() {
        let dir = tempfile::tempdir().unwrap();
        let mut text = String::new();
        section(&mut text, "branch.we\"i.r\\d.merge", "refs/heads/a \"b\"\\; #c");
        std::fs::write(dir.path().join("config"), text).unwrap();
        let read = Git::in_dir(dir.path())
            .line("read", ["config", "-f", "config", "branch.we\"i.r\\d.merge"])
            .unwrap();
        assert_eq!(read.as_deref(), Some("refs/heads/a \"b\"\\; #c"));
    }
}
