//! The guest's `.git`: which of its files go, in the order in which they make a whole repository.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;

use banger_git::{Git, PACKING};

use crate::blocking::blocking;
use crate::error::Error;
use crate::history::{self, History};
use crate::plan::Plan;
use crate::snapshot::{BASE, Snapshot};
use crate::{listing, settings};

/// What a merge or the like that is under way has beside the index, as files with commits in them and others.
const HEADS: [&str; 3] = ["MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD"];
const NOTES: [&str; 2] = ["MERGE_MSG", "MERGE_MODE"];

/// A file below `.git`.
#[derive(Debug)]
pub(crate) struct Own {
    /// Path under the workspace.
    pub(crate) path: Vec<u8>,
    /// What it gets; nothing when it is to be there no more.
    pub(crate) content: Option<Content>,
}

/// What a file gets.
#[derive(Debug)]
pub(crate) enum Content {
    /// These bytes.
    Bytes(Vec<u8>),
    /// A file's, with its time.
    File(PathBuf),
}

impl Own {
    fn new(path: &str, content: impl Into<Vec<u8>>) -> Self {
        Self {
            path: format!(".git/{path}").into_bytes(),
            content: Some(Content::Bytes(content.into())),
        }
    }

    fn copy(path: &str, file: PathBuf) -> Self {
        let content = match file.is_file() {
            true => Some(Content::File(file)),
            false => None,
        };
        Self {
            path: format!(".git/{path}").into_bytes(),
            content,
        }
    }
}

/// The repository for the guest, as far as it differs.
#[derive(Debug)]
pub(crate) struct Checkout {
    /// What is packed, for `git rev-list`; nothing when the guest has all of it.
    wanted: Option<Vec<u8>>,
    /// Objects that the guest has and that no commit of the host's tells of.
    known: BTreeSet<String>,
    git: Git,
    /// Where history is cut off in the guest, for git here.
    shallow: PathBuf,
    pack: PathBuf,
    /// Whether objects may be missing here.
    is_partial: bool,
    /// The files, but for the pack's.
    pub(crate) files: Vec<Own>,
}

/// What the guest is known to have.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// Whether there is a repository.
    pub(crate) repository: bool,
    /// Whether it is not to know whose commits are made.
    pub(crate) anonymous: bool,
    /// Commits of which it has all that belongs to them.
    pub(crate) haves: Vec<String>,
    /// Its history.
    pub(crate) history: History,
    /// What was placed, as a commit that the host does not have.
    pub(crate) base: Option<String>,
    /// The objects of the files that were placed.
    pub(crate) objects: BTreeSet<String>,
}

/// All that of the host's repository decides about HEAD, index and what belongs to them, as one name.
pub(crate) fn state(plan: &Plan) -> Result<String, Error> {
    let git = plan.stage.git(&plan.source, "index");
    let args = ["ls-files", "--stage", "-v", "-z"];
    let mut all = git.run("list the index", args)?;
    all.extend_from_slice(format!("{:?} {:?}", plan.head, plan.branch).as_bytes());
    for name in HEADS.iter().chain(&NOTES).chain(&["info/sparse-checkout"]) {
        all.push(0);
        all.extend(std::fs::read(plan.source.own(name)).unwrap_or_default());
    }
    let what = "identify the state of the repository";
    let name = git.feed(what, ["hash-object", "--stdin"], &all)?;
    Ok(String::from_utf8_lossy(&name).trim().to_owned())
}

/// The commits that the guest gets, the first ones first.
pub(crate) fn tips(plan: &Plan) -> Vec<String> {
    let mut tips: Vec<String> = plan.head.iter().cloned().collect();
    for name in HEADS.iter().filter(|_| plan.as_is) {
        let text = std::fs::read_to_string(plan.source.own(name)).unwrap_or_default();
        tips.extend(text.lines().map(str::to_owned));
    }
    tips
}

impl Checkout {
    /// What goes to a guest that has what is `known`; with HEAD and index when `with_state`.
    pub(crate) fn make(
        plan: &Plan,
        base: &Snapshot,
        history: &History,
        known: &Known,
        with_state: bool,
    ) -> Result<Self, Error> {
        let mut wanted = vec![base.commit.clone()];
        let mut files = Vec::new();
        if !history.shallow.is_empty() && history.shallow != known.history.shallow {
            files.push(Own::new("shallow", history.cut_off()));
        }
        if known.base.as_ref() != Some(&base.commit) {
            files.push(Own::new(BASE, format!("{}\n", base.commit)));
        }
        if with_state {
            wanted.extend(tips(plan));
            wanted.extend(staged(plan)?);
            if !known.repository {
                let references = references(plan, history)?;
                wanted.extend(references.iter().map(|(object, _, _)| object.clone()));
                files.extend(first_files(plan, &references, !known.anonymous)?);
            }
            files.extend(state_files(plan)?);
        }
        wanted.retain(|object| !known.haves.contains(object));
        let shallow = plan.stage.at("shallow");
        std::fs::write(&shallow, history.cut_off()).map_err(|error| Error::file("write", &shallow, error))?;
        Ok(Self {
            shallow,
            wanted: (!wanted.is_empty()).then(|| history::wanted(&wanted, &known.haves)),
            known: known.objects.clone(),
            git: plan.stage.git(&plan.source, "index"),
            pack: plan.stage.at("pack"),
            is_partial: plan.source.promisor().is_some(),
            files,
        })
    }

    /// Whether nothing goes.
    pub(crate) fn is_empty(&self) -> bool {
        self.wanted.is_none() && self.files.is_empty()
    }

    /// Packs what the guest lacks. Dropping the future ends it.
    pub(crate) async fn pack(&self) -> Result<Vec<Own>, Error> {
        let Some(wanted) = &self.wanted else {
            return Ok(Vec::new());
        };
        let shallow: [OsString; 2] = ["--shallow-file".into(), self.shallow.clone().into()];
        let mut pack = shallow.to_vec();
        // The guest is near: time counts for more than size. Deltas that there are go as they are.
        let options = [
            "-c",
            "pack.compression=1",
            "pack-objects",
            "--quiet",
            "--delta-base-offset",
            "--window=0",
        ];
        pack.extend(options.map(OsString::from));
        let missing = self.is_partial.then(|| OsString::from("--missing=allow-any"));
        // Where trees are missing, only the listing passes over them.
        let listed = match self.known.is_empty() && !self.is_partial {
            true => None,
            false => {
                let list = ["rev-list", "--objects", "--stdin"].map(OsString::from);
                let listed = self
                    .ask(shallow.into_iter().chain(list).chain(missing), wanted)
                    .await?;
                Some(without(&listed, &self.known))
            }
        };
        if listed.is_none() {
            pack.push("--revs".into());
        }
        pack.push(self.pack.clone().into());
        let names = self.ask(pack, listed.as_ref().unwrap_or(wanted)).await?;
        let names = String::from_utf8_lossy(&names).into_owned();
        // A pack counts from the moment that it has an index.
        let parts = names
            .split_whitespace()
            .flat_map(|name| ["pack", "idx"].map(|part| (name.to_owned(), part)));
        let promised = names.split_whitespace().filter(|_| self.is_partial);
        let promised = promised.map(|name| Own::new(&format!("objects/pack/pack-{name}.promisor"), ""));
        let own = parts.map(|(name, part)| {
            let mut file = self.pack.clone().into_os_string();
            file.push(format!("-{name}.{part}"));
            Own::copy(&format!("objects/pack/pack-{name}.{part}"), file.into())
        });
        // That it is one of a partial clone has to be known before it counts.
        Ok(promised.chain(own).collect())
    }

    /// What `git` prints that reads `input`. Dropping the future ends it.
    async fn ask(&self, args: impl IntoIterator<Item = OsString>, input: &[u8]) -> Result<Vec<u8>, Error> {
        let git = self.git.clone().within(PACKING);
        let (args, input) = (Vec::from_iter(args), input.to_vec());
        let pack = move || Ok(git.feed("pack what the guest lacks", args, &input)?);
        blocking("packing a workspace", pack).await
    }
}

/// Lines of `git rev-list --objects` but for those of objects that are known.
fn without(listed: &[u8], known: &BTreeSet<String>) -> Vec<u8> {
    let is_new = |line: &&[u8]| {
        let object = line.split(|&byte| byte == b' ').next().unwrap_or_default();
        !std::str::from_utf8(object).is_ok_and(|object| known.contains(object.trim_end()))
    };
    let lines = listed.split_inclusive(|&byte| byte == b'\n');
    lines.filter(is_new).flatten().copied().collect()
}

/// Objects that are staged and that HEAD does not have.
fn staged(plan: &Plan) -> Result<Vec<String>, Error> {
    let git = plan.stage.git(&plan.source, "index");
    if !plan.as_is {
        return Ok(Vec::new());
    }
    let differing = match &plan.head {
        Some(_) => Some(listing::staged(&git)?),
        None => None,
    };
    let entries = listing::index(&git)?;
    let staged = entries.into_iter().filter(|entry| {
        let is_new = match &differing {
            Some(paths) => entry.stage != 0 || paths.contains(&entry.path),
            None => true,
        };
        is_new && !entry.is_module()
    });
    let objects: BTreeSet<String> = staged.map(|entry| entry.object).collect();
    // What is only intended to be added is named by an object that need not exist.
    let present = listing::present(&git, objects.iter())?;
    let found = objects.into_iter().zip(present);
    Ok(found
        .filter_map(|(object, there)| there.then_some(object))
        .collect())
}

/// Tags and branches of other repositories that point at what goes: object, commit, name.
fn references(plan: &Plan, history: &History) -> Result<Vec<(String, String, String)>, Error> {
    let mut args = vec![
        "for-each-ref",
        "--format=%(objecttype) %(objectname) %(*objectname) %(refname)",
    ];
    let Some(head) = &plan.head else {
        return Ok(Vec::new());
    };
    if history.full {
        args.extend(["--merged", head]);
    }
    args.extend(["refs/tags", "refs/remotes"]);
    let listed = plan.source.git().run("list references", args)?;
    let listed = String::from_utf8_lossy(&listed).into_owned();
    let mut references = Vec::new();
    for line in listed.lines() {
        let Some([kind, object, peeled, name]) = fields(line) else {
            continue;
        };
        let commit = if kind == "tag" { peeled } else { object };
        let is_there = history.full || history.commits.contains(commit);
        if is_there && !name.ends_with("/HEAD") {
            references.push((object.to_owned(), commit.to_owned(), name.to_owned()));
        }
    }
    Ok(references)
}

fn fields(line: &str) -> Option<[&str; 4]> {
    line.splitn(4, ' ').collect::<Vec<_>>().try_into().ok()
}

/// What only a new repository gets.
fn first_files(
    plan: &Plan,
    references: &[(String, String, String)],
    with_identity: bool,
) -> Result<Vec<Own>, Error> {
    let mut packed = String::from("# pack-refs with: peeled sorted \n");
    for (object, commit, name) in references {
        packed.push_str(&format!("{object} {name}\n"));
        if object != commit {
            packed.push_str(&format!("^{commit}\n"));
        }
    }
    let config = settings::for_guest(&plan.source, plan.as_is, with_identity)?;
    let mut files = vec![Own::new("packed-refs", packed), Own::new("config", config)];
    for name in ["info/exclude", "info/attributes"] {
        let file = plan.source.own(name);
        files.extend(file.is_file().then(|| Own::copy(name, file)));
    }
    // Directories by which git knows a repository.
    files.push(Own::new("objects/info/packs", ""));
    Ok(files)
}

/// HEAD, its branch, the index, and what belongs to them. HEAD comes last: it makes the directory a repository.
fn state_files(plan: &Plan) -> Result<Vec<Own>, Error> {
    let mut files = Vec::new();
    let head = match (&plan.branch, &plan.head) {
        (Some(branch), commit) => {
            if let Some(commit) = commit {
                files.push(Own::new(&format!("refs/heads/{branch}"), format!("{commit}\n")));
            }
            format!("ref: refs/heads/{branch}\n")
        }
        (None, Some(commit)) => format!("{commit}\n"),
        (None, None) => "ref: refs/heads/main\n".to_owned(),
    };
    if plan.as_is {
        for name in HEADS.iter().chain(&NOTES).chain(&["info/sparse-checkout"]) {
            files.push(Own::copy(name, plan.source.own(name)));
        }
    }
    files.push(Own::copy("index", plan.stage.at("index")));
    files.push(Own::new("HEAD", head));
    Ok(files)
}
