//! A git directory of ours that stands for a repository: what git reads of the repository, and nothing else of it.
//!
//! | in it | is |
//! |---|---|
//! | `config` | written by us: plain data of the repository's own configuration |
//! | `HEAD`, `index`, `shallow`, `info/…`, what a merge that is under way has | copies |
//! | `objects`, `refs`, `logs`, `packed-refs`, `reftable` | links of ours to what was looked through |
//!
//! A reference that git writes through it is the repository's, with git's own locks.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use banger_hostfs::{Kind, Reserve};

use crate::find::CONFIG;
use crate::settings::{self, Setting};
use crate::{Error, Git, Repository, sound};

/// Files of a work tree's own part, and the most that each may have.
const OWN: [(&str, u64); 9] = [
    ("index", LARGEST_INDEX),
    ("MERGE_HEAD", SMALL),
    ("CHERRY_PICK_HEAD", SMALL),
    ("REVERT_HEAD", SMALL),
    ("ORIG_HEAD", SMALL),
    ("FETCH_HEAD", LARGE),
    ("MERGE_MSG", LARGE),
    ("MERGE_MODE", SMALL),
    ("info/sparse-checkout", LARGE),
];

/// Files that all work trees share.
const SHARED: [(&str, u64); 3] = [
    ("shallow", 64 << 20),
    ("info/exclude", LARGE),
    ("info/attributes", LARGE),
];

/// Of an index, or of all parts of a split one.
const LARGEST_INDEX: u64 = 2 << 30;
const SMALL: u64 = 1 << 20;
const LARGE: u64 = 16 << 20;

/// The directory. Gone when this is dropped.
#[derive(Debug)]
pub struct View {
    repository: Repository,
    dir: tempfile::TempDir,
    local: Vec<Setting>,
    user: Vec<Setting>,
    /// The part of a linked work tree, where its HEAD is in tables of its own.
    linked: Option<PathBuf>,
    /// `git` on the work tree, but for what is decided later.
    git: Git,
    /// The user's settings as a file, where some of them count in this repository only.
    flat: Option<PathBuf>,
}

impl View {
    /// Makes one in `scratch`.
    ///
    /// # Errors
    /// When something of the repository would lead git elsewhere, or cannot be read.
    pub fn of(repository: Repository, scratch: &Path) -> Result<Self, Error> {
        let made = fs::create_dir_all(scratch)
            .and_then(|()| tempfile::Builder::new().prefix("git-").tempdir_in(scratch));
        let dir = made.map_err(|error| Error::file("create a directory in", scratch, error))?;
        let git = Git::in_work_tree(&repository.root, &repository.root, dir.path());
        let mut view = Self {
            repository,
            dir,
            git,
            local: Vec::new(),
            user: Vec::new(),
            linked: None,
            flat: None,
        };
        view.copy_files()?;
        view.link_stores()?;
        view.link_tables()?;
        view.local = view.read_local()?;
        view.write_config(view.path(), |setting| settings::is_heeded(&setting.key))?;
        view.read_user()?;
        Ok(view)
    }

    /// The top of the work tree.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.repository.root
    }

    /// The part of the repository that all its work trees share, where it really is.
    #[must_use]
    pub fn common(&self) -> &Path {
        self.repository.common.path()
    }

    /// The objects, where they really are.
    #[must_use]
    pub fn objects(&self) -> PathBuf {
        sound::objects_path(&self.repository.common)
    }

    /// The copy of a file of the git directory, if there is such a file.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// The repository's own settings, all of them, as data.
    #[must_use]
    pub fn local(&self) -> &[Setting] {
        &self.local
    }

    /// The user's settings, as they count in this repository.
    #[must_use]
    pub fn user(&self) -> &[Setting] {
        &self.user
    }

    /// `git` on the work tree.
    #[must_use]
    pub fn git(&self) -> Git {
        self.git_in(self.root())
    }

    /// `git` on the work tree, standing in a directory of it.
    #[must_use]
    pub fn git_in(&self, dir: &Path) -> Git {
        let mut git = self.git.clone().in_dir(dir);
        if let Some(linked) = &self.linked {
            git = git.with("GIT_DIR", linked);
        }
        match &self.flat {
            Some(flat) => git
                .with("GIT_CONFIG_GLOBAL", flat)
                .with("GIT_CONFIG_NOSYSTEM", "1"),
            None => git,
        }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn copy_files(&self) -> Result<(), Error> {
        let (own, common) = (&self.repository.own, &self.repository.common);
        let make = |path: &Path| fs::create_dir_all(path).map_err(|error| Error::file("create", path, error));
        make(&self.path().join("info"))?;
        let head = match own.kind("HEAD") {
            // As git once made it.
            Some(Kind::Symlink) => {
                let target = own.link("HEAD").filter(|target| sound::is_reference(target));
                let target = target.ok_or_else(|| own.odd("HEAD", "a symbolic link"))?;
                format!("ref: {}\n", target.display()).into_bytes()
            }
            _ => own.read("HEAD", SMALL)?.unwrap_or_default(),
        };
        let to = self.path().join("HEAD");
        fs::write(&to, head).map_err(|error| Error::file("write", &to, error))?;
        for (name, most) in OWN {
            self.copy(own, name, most)?;
        }
        for (name, most) in SHARED {
            self.copy(common, name, most)?;
        }
        // What a split index is joined with: git removes those of two weeks ago, so that there are few.
        let entries = own.entries()?.into_iter().map(|(name, _)| name);
        let parts: Vec<_> = entries
            .filter(|name| name.as_encoded_bytes().starts_with(b"sharedindex."))
            .collect();
        let mut all = 0_u64;
        for name in &parts {
            let path = own.at(name);
            let len = own.file(name)?.map(|file| file.metadata()).transpose();
            let len = len.map_err(|error| Error::file("read", &path, error))?;
            all = all.saturating_add(len.map_or(0, |metadata| metadata.len()));
            if all > LARGEST_INDEX {
                return Err(Error::TooLarge {
                    path,
                    most: LARGEST_INDEX,
                });
            }
        }
        for name in &parts {
            self.copy(own, name, LARGEST_INDEX)?;
        }
        Ok(())
    }

    /// Copies a file with its time: by it git tells which files could have changed unseen.
    fn copy(&self, from: &crate::Dir, name: impl AsRef<OsStr>, most: u64) -> Result<(), Error> {
        let name = Path::new(name.as_ref());
        // `info` may be absent, and be a file in place of a directory in none that git made.
        let Some(mut file) = from.file(name)? else {
            return Ok(());
        };
        let path = from.at(name);
        let failed = |error| Error::file("copy", &path, error);
        let metadata = file.metadata().map_err(failed)?;
        let len = metadata.len();
        if len > most {
            return Err(Error::TooLarge { path, most });
        }
        let copied = File::create(self.path().join(name)).and_then(|mut copy| {
            // A file of holes is as large here as it says.
            Reserve::of(&copy).file(&copy, &path, len)?;
            // It may grow meanwhile.
            std::io::copy(&mut std::io::Read::by_ref(&mut file).take(len), &mut copy)?;
            copy.set_modified(metadata.modified()?)
        });
        copied.map_err(failed)
    }

    fn link_stores(&self) -> Result<(), Error> {
        let common = &self.repository.common;
        sound::objects(self.root(), common)?;
        let link = |name: &str| {
            let to = self.path().join(name);
            symlink(common.at(name), &to).map_err(|error| Error::file("create", &to, error))
        };
        link("objects")?;
        for (name, symrefs) in [("refs", true), ("logs", false), ("reftable", false)] {
            if let Some(dir) = common.dir(name)? {
                sound::check(&dir, symrefs)?;
                link(name)?;
            }
        }
        // Git may make the file; a link to what is not there is as good as none until then.
        drop(common.file("packed-refs")?);
        link("packed-refs")
    }

    /// In a linked work tree, HEAD is in tables beside those of the shared references (git's `reftable` format).
    fn link_tables(&mut self) -> Result<(), Error> {
        let own = &self.repository.own;
        if own.path() == self.common() {
            return Ok(());
        }
        let Some(tables) = own.dir("reftable")? else {
            return Ok(());
        };
        sound::check(&tables, false)?;
        let linked = self.path().join("linked");
        let made = fs::create_dir(&linked)
            .and_then(|()| symlink(tables.path(), linked.join("reftable")))
            .and_then(|()| fs::write(linked.join("commondir"), ".."))
            // A HEAD that is a link would be a reference by that name.
            .and_then(|()| fs::copy(self.path().join("HEAD"), linked.join("HEAD")))
            .and_then(|_| {
                let mut names = ["index", "info", "refs"].iter();
                names.try_for_each(|name| symlink(self.path().join(name), linked.join(name)))
            });
        made.map_err(|error| Error::file("create", &linked, error))?;
        self.linked = Some(linked);
        Ok(())
    }

    fn read_local(&self) -> Result<Vec<Setting>, Error> {
        let git = Git::alone(self.path()).distrusting(self.root());
        let (own, common) = (&self.repository.own, &self.repository.common);
        let config = common.read("config", CONFIG)?.unwrap_or_default();
        let mut settings = settings::of_bytes(&git, &config)?;
        let of_work_tree = settings
            .iter()
            .any(|setting| setting.key == "extensions.worktreeconfig" && setting.value != "false");
        if of_work_tree {
            let config = own.read("config.worktree", CONFIG)?.unwrap_or_default();
            settings.extend(settings::of_bytes(&git, &config)?);
        }
        Ok(settings)
    }

    fn write_config(&self, dir: &Path, heeded: impl Fn(&Setting) -> bool) -> Result<(), Error> {
        let mut text = String::from("[core]\n\tbare = false\n");
        for setting in self.local.iter().filter(|setting| heeded(setting)) {
            settings::write(&mut text, &setting.key, &setting.value);
        }
        write(&dir.join("config"), text)
    }

    /// The settings that `git` finds outside of the repository. They may depend on where the repository is, on its branch,
    /// and on where it came from (git-config(1), "Conditional includes"): git decides that, without reading the repository's
    /// own configuration.
    ///
    /// # Errors
    /// When git cannot read them.
    pub fn user_of(&self, git: &Git) -> Result<Vec<Setting>, Error> {
        let settings = settings::of_user(git)?;
        if !has_conditions(&settings) {
            return Ok(settings);
        }
        let common = self.path().join("conditions");
        if !common.exists() {
            let link = |name: &str| symlink(self.path().join(name), common.join(name));
            let made = fs::create_dir(&common)
                .and_then(|()| link("objects"))
                .and_then(|()| link("refs"));
            made.map_err(|error| Error::file("create", &common, error))?;
            self.write_config(&common, |setting| {
                settings::is_heeded(&setting.key) || is_url_of_remote(&setting.key)
            })?;
        }
        let git = git
            .clone()
            .with("GIT_DIR", self.repository.own.path())
            .with("GIT_COMMON_DIR", &common);
        settings::of_user(&git)
    }

    fn read_user(&mut self) -> Result<(), Error> {
        self.user = self.user_of(&self.git())?;
        if !has_conditions(&self.user) {
            return Ok(());
        }
        let mut text = String::new();
        for setting in self
            .user
            .iter()
            .filter(|setting| !setting.key.starts_with("include"))
        {
            settings::write(&mut text, &setting.key, &setting.value);
        }
        let flat = self.path().join("user");
        write(&flat, text)?;
        self.flat = Some(flat);
        Ok(())
    }

    /// A line that names its objects in another repository's `objects/info/alternates`.
    #[must_use]
    pub fn alternate(&self) -> OsString {
        sound::alternate(&self.objects())
    }
}

fn has_conditions(settings: &[Setting]) -> bool {
    settings
        .iter()
        .any(|setting| setting.key.starts_with("includeif."))
}

fn is_url_of_remote(key: &str) -> bool {
    key.starts_with("remote.") && key.ends_with(".url")
}

fn write(path: &Path, text: String) -> Result<(), Error> {
    fs::write(path, text).map_err(|error| Error::file("write", path, error))
}
