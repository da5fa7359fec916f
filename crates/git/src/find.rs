//! Where the repository around a path is, found without git: git would read its configuration first.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use banger_hostfs::Kind;

use crate::{Dir, Error, Git, settings};

/// Longer than any path in a file of git's.
const PATH: u64 = 16 << 10;

/// Longer than any configuration.
pub(crate) const CONFIG: u64 = 4 << 20;

/// A work tree and its git directory, held open.
#[derive(Debug)]
pub struct Repository {
    /// The top of the work tree.
    pub root: PathBuf,
    /// Where HEAD and the index are. In a linked work tree, a directory of its own.
    pub own: Dir,
    /// Where objects and references are.
    pub common: Dir,
}

impl Repository {
    /// The one around `path`.
    ///
    /// # Errors
    /// When there is none, or its git directory is not its own.
    pub fn around(path: &Path) -> Result<Self, Error> {
        let entered = |source| Error::Enter {
            path: path.to_owned(),
            source,
        };
        let whole = path.canonicalize().map_err(entered)?;
        let metadata = whole.metadata().map_err(entered)?;
        let start = match metadata.is_dir() {
            true => whole.as_path(),
            false => whole.parent().unwrap_or(&whole),
        };
        let none = || Error::NoRepository(path.to_owned());
        let device = start.metadata().map_err(entered)?.dev();
        for root in start.ancestors() {
            // As git has it, what is mounted ends the search.
            if root.metadata().map_err(entered)?.dev() != device {
                return Err(none());
            }
            let dir = Dir::open(root)?;
            let found = match dir.kind(".git") {
                Some(Kind::Directory) => Self::directory(root, &dir)?,
                Some(Kind::File) => Some(Self::file(root, &dir)?),
                Some(Kind::Symlink) => {
                    let target = dir.link(".git").ok_or_else(none)?;
                    Some(Self::elsewhere(root, &root.join(target))?)
                }
                _ => None,
            };
            if let Some(found) = found {
                found.owned()?;
                return Ok(found);
            }
            if is_git_dir(&dir) {
                // Within a git directory there is no work tree.
                return Err(none());
            }
        }
        Err(none())
    }

    fn directory(root: &Path, dir: &Dir) -> Result<Option<Self>, Error> {
        let Some(own) = dir.dir(".git")? else {
            return Ok(None);
        };
        if !is_git_dir(&own) {
            return Ok(None);
        }
        if own.kind("commondir").is_some() {
            return Err(own.odd("commondir", "not of a linked work tree"));
        }
        Ok(Some(Self {
            root: root.to_owned(),
            common: own.again(),
            own,
        }))
    }

    /// A `.git` file (gitrepository-layout(5)).
    fn file(root: &Path, dir: &Dir) -> Result<Self, Error> {
        let text = dir.read(".git", PATH)?.unwrap_or_default();
        let target = text
            .strip_prefix(b"gitdir: ")
            .map(end)
            .filter(|target| !target.is_empty());
        let Some(target) = target else {
            return Err(dir.odd(".git", "a file that names no git directory"));
        };
        Self::elsewhere(root, &root.join(OsStr::from_bytes(target)))
    }

    /// The git directory `target` for the work tree at `root`, if it says so itself.
    fn elsewhere(root: &Path, target: &Path) -> Result<Self, Error> {
        let file = root.join(".git");
        let entered = |source| Error::Enter {
            path: target.to_owned(),
            source,
        };
        let target = target.canonicalize().map_err(entered)?;
        let own = Dir::open(&target)?;
        let not_ours = |linked| Error::Elsewhere {
            file: file.clone(),
            target: target.clone(),
            linked,
        };
        if let Some(common) = own.read("commondir", PATH)? {
            let common = target.join(OsStr::from_bytes(end(&common)));
            let common = common.canonicalize().map_err(entered)?;
            let back = own.read("gitdir", PATH)?.unwrap_or_default();
            let back = target.join(OsStr::from_bytes(end(&back)));
            let is_listed = target.parent() == Some(&common.join("worktrees"));
            if !is_listed || !is_same(&back, &file) {
                return Err(not_ours(true));
            }
            return Ok(Self {
                root: root.to_owned(),
                own,
                common: Dir::open(&common)?,
            });
        }
        if !target.starts_with(root) {
            let config = own.read("config", CONFIG)?.unwrap_or_default();
            let listed = settings::of_bytes(&Git::alone(Path::new("/")).distrusting(root), &config)?;
            let mut recorded = listed.iter().filter(|setting| setting.key == "core.worktree");
            if !recorded.any(|setting| {
                target
                    .join(&setting.value)
                    .canonicalize()
                    .is_ok_and(|path| path == root)
            }) {
                return Err(not_ours(false));
            }
        }
        Ok(Self {
            root: root.to_owned(),
            common: own.again(),
            own,
        })
    }

    /// Whether it is this user's, or one that the user's configuration names (git-config(1), `safe.directory`): another user
    /// could change it meanwhile.
    fn owned(&self) -> Result<(), Error> {
        let me = rustix::process::geteuid().as_raw();
        let is_mine = |path: &Path| path.symlink_metadata().is_ok_and(|metadata| metadata.uid() == me);
        if [self.root.as_path(), self.own.path(), self.common.path()]
            .into_iter()
            .all(is_mine)
        {
            return Ok(());
        }
        let mut safe = false;
        for setting in settings::of_user(&Git::alone(Path::new("/")).distrusting(&self.root))? {
            if setting.key == "safe.directory" {
                let value = setting.value.as_str();
                safe = match value.strip_suffix("/*") {
                    _ if value.is_empty() => false,
                    Some(above) => safe || self.root.starts_with(above),
                    None => safe || value == "*" || Path::new(value) == self.root,
                };
            }
        }
        match safe {
            true => Ok(()),
            false => Err(Error::Owner(self.root.clone())),
        }
    }
}

/// Whether a directory has what makes one of git's.
fn is_git_dir(dir: &Dir) -> bool {
    ["HEAD", "objects", "refs"]
        .iter()
        .all(|name| dir.kind(name).is_some())
}

fn is_same(one: &Path, other: &Path) -> bool {
    let whole = |path: &Path| Some(path.parent()?.canonicalize().ok()?.join(path.file_name()?));
    whole(one).is_some_and(|one| Some(one) == whole(other))
}

/// A line without its end.
pub(crate) fn end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}
