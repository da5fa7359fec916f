//! What the guest's repository is told: where it came from, whose commits are made, how files are checked out. Nothing else
//! of the user's configuration goes; above all no program to run and no password.

use banger_git::{IDENTITY, Setting, write};

use crate::error::Error;
use crate::source::Source;

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

/// The guest's configuration, as a file, with whose commits are made or without.
pub(crate) fn for_guest(source: &Source, as_is: bool, with_identity: bool) -> Result<String, Error> {
    let what = "get the object format";
    let format = source.git().line(what, ["rev-parse", "--show-object-format"])?;
    let mut text = String::new();
    let promisor = source.promisor();
    match format.as_deref() {
        None | Some("sha1") if promisor.is_some() => {
            write(&mut text, "core.repositoryformatversion", "1");
        }
        None | Some("sha1") => write(&mut text, "core.repositoryformatversion", "0"),
        Some(format) => {
            write(&mut text, "core.repositoryformatversion", "1");
            write(&mut text, "extensions.objectformat", format);
        }
    }
    if let Some(remote) = promisor {
        write(&mut text, "extensions.partialclone", &remote);
        write(&mut text, &format!("remote.{remote}.promisor"), "true");
    }
    for (key, value) in [
        ("core.bare", "false"),
        ("core.logallrefupdates", "true"),
        // Of a file's facts only size and time are what they are on the host.
        ("core.checkstat", "minimal"),
        ("core.trustctime", "false"),
    ] {
        write(&mut text, key, value);
    }
    let of_user = source.view.user().iter().map(|setting| (Scope::User, setting));
    let own = source
        .view
        .local()
        .iter()
        .map(|setting| (Scope::Repository, setting));
    for (scope, Setting { key, value }) in of_user.chain(own) {
        if goes(scope, key, as_is) && (with_identity || !IDENTITY.contains(&&key[..])) {
            let value = if key.ends_with(".url") {
                without_password(value)
            } else {
                value.to_owned()
            };
            write(&mut text, key, &value);
        }
    }
    Ok(text)
}

/// Whose a setting is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    User,
    Repository,
}

fn goes(scope: Scope, key: &str, as_is: bool) -> bool {
    if ANYWHERE.contains(&key) {
        return true;
    }
    if scope == Scope::User {
        return false;
    }
    let (first, last) = (key.split('.').next(), key.rsplit('.').next());
    match (first, last) {
        (Some("submodule"), Some("url" | "active")) => true,
        (Some("remote"), Some("url" | "fetch" | "partialclonefilter")) => true,
        (Some("branch"), Some("remote" | "merge")) => true,
        // A checkout of a commit alone is a whole one.
        _ => LOCAL.contains(&key) && (as_is || !key.contains("sparse")),
    }
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
    use banger_git::Git;

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
            assert!(goes(Scope::Repository, key, true), "{key}");
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
            assert!(!goes(Scope::Repository, key, true), "{key}");
        }
        assert!(!goes(Scope::User, "remote.origin.url", true));
        assert!(!goes(Scope::Repository, "core.sparsecheckout", false));
    }

    #[test]
    fn settings_are_written_as_git_reads_them() {
        let dir = tempfile::tempdir().unwrap();
        let mut text = String::new();
        write(&mut text, "branch.we\"i.r\\d.merge", "refs/heads/a \"b\"\\; #c");
        std::fs::write(dir.path().join("config"), text).unwrap();
        let read = Git::alone(dir.path())
            .line("read", ["config", "-f", "config", "branch.we\"i.r\\d.merge"])
            .unwrap();
        assert_eq!(read.as_deref(), Some("refs/heads/a \"b\"\\; #c"));
    }
}
