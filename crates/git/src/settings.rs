//! What is taken of a repository's own configuration: plain data, by name. All else does not count, whatever git's next
//! version makes of it.

use std::fmt::Write;

use crate::{Error, Git, records};

/// One setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its key, with section and name in lower case.
    pub key: String,
    /// Its value; none is a `true` that nobody wrote.
    pub value: String,
}

/// Keys that git on this host heeds of a repository's own.
const HEEDED: [&str; 12] = [
    "core.autocrlf",
    "core.eol",
    "core.filemode",
    "core.ignorecase",
    "core.precomposeunicode",
    "core.repositoryformatversion",
    "core.safecrlf",
    "core.sparsecheckout",
    "core.sparsecheckoutcone",
    "core.symlinks",
    "user.email",
    "user.name",
];

/// Whether a key of a repository's own is plain data that git on this host needs.
pub(crate) fn is_heeded(key: &str) -> bool {
    let (first, last) = (key.split('.').next(), key.rsplit('.').next());
    match (first, last) {
        // git refuses a repository with one that it does not know; where a file of ours is the configuration, it is whole.
        (Some("extensions"), Some(name)) => name != "worktreeconfig",
        (Some("remote"), Some("promisor" | "partialclonefilter" | "fetch")) => true,
        (Some("branch"), Some("remote" | "merge")) => true,
        _ => HEEDED.contains(&key),
    }
}

/// What a file of settings with this content has. No file that it names is included.
pub(crate) fn of_bytes(git: &Git, file: &[u8]) -> Result<Vec<Setting>, Error> {
    if file.is_empty() {
        return Ok(Vec::new());
    }
    let args = ["config", "--no-includes", "--list", "-z", "--file", "-"];
    let listed = git.feed("read the repository's configuration", args, file)?;
    Ok(records(&listed).map(parse).collect())
}

/// The keys that say whose commits are made.
pub const IDENTITY: [&str; 2] = ["user.name", "user.email"];

/// What the user's own configuration has, that of the system included. A part that counts only in some repositories counts
/// when it does in the one whose git directory is `git_dir`.
///
/// # Errors
/// When git cannot read it.
pub fn of_user(git: &Git) -> Result<Vec<Setting>, Error> {
    let listed = git.run(
        "read your configuration",
        ["config", "--includes", "--list", "-z", "--show-scope"],
    )?;
    let mut parts = listed.split(|&byte| byte == 0);
    let mut settings = Vec::new();
    while let (Some(scope), Some(setting)) = (parts.next(), parts.next()) {
        if matches!(scope, b"system" | b"global") {
            settings.push(parse(setting));
        }
    }
    Ok(settings)
}

fn parse(record: &[u8]) -> Setting {
    let text = String::from_utf8_lossy(record);
    let (key, value) = text.split_once('\n').unwrap_or((&text, "true"));
    Setting {
        key: key.to_owned(),
        value: value.to_owned(),
    }
}

/// Writes one setting (git-config(1), "Syntax").
pub fn write(text: &mut String, key: &str, value: &str) {
    let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let (Some((section, _)), Some((rest, name))) = (key.split_once('.'), key.rsplit_once('.')) else {
        return;
    };
    let value = quoted(value)
        .replace('\n', "\\n")
        .replace('\t', "\\t")
        .replace('\u{8}', "\\b");
    // Writing to a string does not fail.
    let _ = match rest.strip_prefix(section).and_then(|rest| rest.strip_prefix('.')) {
        Some(sub) => writeln!(text, "[{section} \"{}\"]", quoted(sub)),
        None => writeln!(text, "[{section}]"),
    };
    let _ = writeln!(text, "\t{name} = \"{value}\"");
}
