//! Files that a repository stores through a filter (gitattributes(5)): git-crypt and git-lfs are some. Filters of the user's
//! own configuration run on the host; those of the repository's own do not, and none of the host's runs in the guest. What goes
//! is what the work tree has; this says so, and sees what comes back unfiltered.

use std::collections::BTreeMap;

use banger_git::{Git, records};
use banger_guest_api::query::{decoded, encoded};
use banger_model::shell_word;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::listing;
use crate::plan::Plan;
use crate::remote::printable;
use crate::source::Source;

/// Files of attributes are not longer.
const MOST: u64 = 4 << 20;

/// So many files of attributes are looked into.
const FILES: usize = 10_000;

/// A file that is stored through a filter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Filtered {
    /// The filter.
    pub(crate) filter: String,
    /// What the index has of the file.
    pub(crate) object: String,
}

/// The files, by percent-encoded path.
pub(crate) type All = BTreeMap<String, Filtered>;

/// Those of the plan that are stored through a filter.
pub(crate) fn of(plan: &Plan) -> Result<All, Error> {
    if !plan.as_is || !has_filters(plan) {
        return Ok(All::new());
    }
    let git = plan.stage.git(&plan.source, "index");
    let entries = listing::index(&git)?;
    let entries = entries
        .into_iter()
        .filter(|entry| !entry.is_module() && entry.stage == 0);
    let objects: BTreeMap<Vec<u8>, String> = entries.map(|entry| (entry.path, entry.object)).collect();
    // Of a file that is behind a link, git would look for attributes behind that.
    let going = objects.keys().filter(|path| plan.files.contains_key(*path));
    let found = named(&git, &[], going)?;
    let found = found.into_iter().filter_map(|(path, filter)| {
        let object = objects.get(&path)?.clone();
        Some((encoded(&path), Filtered { filter, object }))
    });
    Ok(found.collect())
}

/// Whether any attributes speak of filters, without a question to git about each file.
fn has_filters(plan: &Plan) -> bool {
    let speaks = |text: &[u8]| text.windows(6).any(|word| word == b"filter");
    let own = std::fs::read(plan.source.own("info/attributes")).unwrap_or_default();
    let of_user = plan.source.view.user().iter();
    let mut of_user = of_user.filter(|setting| setting.key == "core.attributesfile");
    let is_attributes = |path: &&Vec<u8>| {
        let name = path.rsplit(|&byte| byte == b'/').next();
        name == Some(b".gitattributes".as_slice())
    };
    let files = plan.files.keys().filter(is_attributes);
    speaks(&own)
        || of_user.next().is_some()
        || files
            .take(FILES)
            .any(|path| plan.read(path, MOST).is_some_and(|text| speaks(&text)))
}

/// The filters that attributes name for these paths.
fn named<'a>(
    git: &Git,
    more: &[&str],
    paths: impl Iterator<Item = &'a Vec<u8>>,
) -> Result<Vec<(Vec<u8>, String)>, Error> {
    let input: Vec<u8> = paths.flat_map(|path| [&path[..], b"\0"].concat()).collect();
    let args = ["check-attr", "-z", "--stdin"]
        .iter()
        .chain(more)
        .chain(&["filter"]);
    let told = git.feed("list the files that have filters", args, &input)?;
    let mut parts = records(&told);
    let mut named = Vec::new();
    while let (Some(path), Some(_), Some(value)) = (parts.next(), parts.next(), parts.next()) {
        if !matches!(value, b"unspecified" | b"unset" | b"set") {
            named.push((path.to_vec(), String::from_utf8_lossy(value).into_owned()));
        }
    }
    Ok(named)
}

/// What is said of them when they go.
pub(crate) fn notes(source: &Source, all: &All) -> Vec<String> {
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    for file in all.values() {
        *count.entry(&file.filter).or_default() += 1;
    }
    let is_of_user = |filter: &str| {
        let keys = ["clean", "process", "smudge"].map(|part| format!("filter.{filter}.{part}"));
        source
            .view
            .user()
            .iter()
            .any(|setting| keys.contains(&setting.key))
    };
    let say = |(filter, count): (&str, usize)| {
        let files = match count {
            1 => "1 file is".to_owned(),
            count => format!("{count} files are"),
        };
        let whose = match is_of_user(filter) {
            true => "which the VM does not have",
            false => "which is the repository's own and does not run on this host",
        };
        let filter = printable(filter.as_bytes());
        format!(
            "{files} stored through the filter `{filter}`, {whose}: the VM has the files of your work tree and may show \
             them as modified"
        )
    };
    count.into_iter().map(say).collect()
}

/// What is said of those that came back otherwise than they are stored.
pub(crate) fn unfiltered(
    vm: &str,
    guest_path: &str,
    source: &Source,
    all: &All,
    tip: &str,
) -> Result<Vec<String>, Error> {
    let guest_path = shell_word(guest_path);
    let asked: Vec<(Vec<u8>, &Filtered)> = all
        .iter()
        .filter_map(|(path, file)| Some((decoded(path)?, file)))
        .filter(|(path, _)| !path.contains(&b'\n'))
        .collect();
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    let lines: Vec<u8> = asked
        .iter()
        .flat_map(|(path, _)| [tip.as_bytes(), b":", path, b"\n"].concat())
        .collect();
    let args = ["cat-file", "--batch-check=%(objectname)"];
    let told = source.git().feed("inspect filtered files", args, &lines)?;
    let told = told.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    let changed = asked
        .iter()
        .zip(told)
        .filter(|((_, file), line)| !line.ends_with(b" missing") && *line != file.object.as_bytes());
    let notes = changed.map(|((path, file), _)| {
        format!(
            "{} was pulled without the filter `{}`, so a merge would store it unfiltered; run `git add --renormalize` \
             on it before you commit, or apply it with `banger vm workspace apply {vm} {guest_path}`",
            printable(path),
            printable(file.filter.as_bytes())
        )
    });
    Ok(notes.take(20).collect())
}
