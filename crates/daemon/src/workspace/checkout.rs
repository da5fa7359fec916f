//! A repository of the guest's own, made beside the user's: HEAD's commit, and the index as it is.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use banger_api::WorkspaceRequest;

use super::git::{Git, records};
use super::{Error, Plan};

/// The `.git` directory for the guest, and for `--from` also the files. Gone when this is dropped.
#[derive(Debug)]
pub(crate) struct Checkout {
    dir: tempfile::TempDir,
}

impl Checkout {
    /// Makes it in `scratch`.
    pub(crate) fn make(plan: &Plan, request: &WorkspaceRequest, scratch: &Path) -> Result<Self, Error> {
        let file_error = |what, source| Error::File {
            what,
            path: scratch.to_owned(),
            source,
        };
        std::fs::create_dir_all(scratch).map_err(|source| file_error("make", source))?;
        let dir = tempfile::Builder::new()
            .prefix("workspace-")
            .tempdir_in(scratch)
            .map_err(|source| file_error("make a directory in", source))?;
        let checkout = Self { dir };
        checkout.fill(plan, request)?;
        Ok(checkout)
    }

    /// Its work tree, which has `.git`.
    pub(crate) fn root(&self) -> &Path {
        self.dir.path()
    }

    fn fill(&self, plan: &Plan, request: &WorkspaceRequest) -> Result<(), Error> {
        let source = Git::in_dir(&plan.root);
        let own = Git::in_dir(self.root());
        let format = source.line("tell its object format", ["rev-parse", "--show-object-format"])?;
        let format = format!("--object-format={}", format.as_deref().unwrap_or("sha1"));
        let branch = request.branch.clone().or_else(|| plan.branch.clone());
        let named = branch.as_deref().unwrap_or("main");
        // Without a template there are no hooks that the user did not choose for this repository.
        own.run(
            "make the guest's repository",
            ["init", "--quiet", "--template=", &format, "-b", named],
        )?;
        if let Some(head) = &plan.head {
            self.fetch(own, &plan.root, head)?;
            let point = match &branch {
                Some(branch) => vec![
                    "update-ref".to_owned(),
                    format!("refs/heads/{branch}"),
                    head.clone(),
                ],
                None => vec![
                    "update-ref".to_owned(),
                    "--no-deref".to_owned(),
                    "HEAD".to_owned(),
                    head.clone(),
                ],
            };
            own.run("set the guest's HEAD", point)?;
        }
        copy_origin(source, own)?;
        if plan.as_is {
            copy_index(source, own, plan.head.is_some())
        } else {
            own.run("check the commit out", ["reset", "--quiet", "--hard"])
                .map(drop)
        }
    }

    /// Brings one commit with its files; history stays on the host.
    fn fetch(&self, own: Git<'_>, source: &Path, commit: &str) -> Result<(), Error> {
        let options = [
            "-c",
            "protocol.file.allow=always",
            "fetch",
            "--quiet",
            "--depth=1",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-recurse-submodules",
        ];
        let mut args: Vec<OsString> = options.map(OsString::from).into();
        args.extend([file_url(source), commit.into()]);
        own.run("copy the commit", args).map(drop)
    }
}

/// `file://` makes git speak its protocol to the source, which a plain path would bypass with `--depth`.
fn file_url(path: &Path) -> OsString {
    let mut url = OsString::from("file://");
    url.push(path);
    url
}

/// The guest knows where the repository came from, but no password that someone wrote into the address.
fn copy_origin(source: Git<'_>, own: Git<'_>) -> Result<(), Error> {
    let Some(url) = source.line("tell its origin", ["config", "--get", "remote.origin.url"])? else {
        return Ok(());
    };
    if url.is_empty() {
        return Ok(());
    }
    own.run(
        "set the guest's origin",
        ["remote", "add", "origin", &without_password(&url)],
    )
    .map(drop)
}

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

/// The guest's index gets the same entries; objects that were staged and are in no commit come along.
fn copy_index(source: Git<'_>, own: Git<'_>, has_head: bool) -> Result<(), Error> {
    let listed = source.run("list the index", ["ls-files", "--stage", "-z"])?;
    let staged = staged_objects(source, &listed, has_head)?;
    if !staged.is_empty() {
        let pack = source.feed(
            "pack staged files",
            ["pack-objects", "--quiet", "--stdout"],
            &staged,
        )?;
        own.feed("unpack staged files", ["unpack-objects", "-q"], &pack)?;
    }
    own.feed(
        "write the guest's index",
        ["update-index", "-z", "--index-info"],
        &listed,
    )
    .map(drop)
}

/// Objects of the index that HEAD does not have, a line each.
fn staged_objects(source: Git<'_>, listed: &[u8], has_head: bool) -> Result<Vec<u8>, Error> {
    let what = "compare the index";
    let mut objects = std::collections::BTreeSet::new();
    if has_head {
        let raw = source.run(
            what,
            [
                "diff-index",
                "--cached",
                "--raw",
                "--no-abbrev",
                "-z",
                "--no-renames",
                "HEAD",
            ],
        )?;
        // :<mode> <mode> <object> <object> <status>, then the path as a record of its own
        for record in records(&raw).filter(|record| record.starts_with(b":")) {
            let fields: Vec<_> = record.split(|&byte| byte == b' ').collect();
            let [_, mode, _, object, ..] = fields[..] else {
                return Err(Error::Answer { what });
            };
            if mode != b"160000" && !object.iter().all(|&byte| byte == b'0') {
                objects.insert(object.to_vec());
            }
        }
    }
    // Unmerged entries, and everything when there is no HEAD.
    for record in records(listed) {
        let fields: Vec<_> = record.split(|&byte| byte == b' ' || byte == b'\t').collect();
        let [mode, object, stage, ..] = fields[..] else {
            return Err(Error::Answer { what });
        };
        if mode != b"160000" && (!has_head || stage != b"0") {
            objects.insert(object.to_vec());
        }
    }
    let mut lines = Vec::new();
    for object in objects {
        lines.extend_from_slice(&object);
        lines.push(b'\n');
    }
    Ok(lines)
}

/// Where `path` of the checkout lies.
pub(crate) fn inside(root: &Path, path: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    root.join(std::ffi::OsStr::from_bytes(path))
}

#[cfg(test)]
mod tests {
    use super::without_password;

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
}
