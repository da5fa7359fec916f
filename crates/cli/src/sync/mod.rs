//! One way from a tree of this host to a directory of a VM: a pass sends what differs, and then changes go as the kernel
//! tells them.
//!
//! ```text
//!   pass:   walk (and watch) ─┐
//!           the VM's listing ─┴─> differing, and too many ──> push ──> remove
//!   change: paths ──> look again ──> there, or not ─────────> push ──> remove
//!           queue overflowed, or what is ignored has changed ──> pass
//!   the daemon ended and another one runs ─────────────────────> pass
//! ```

mod ignored;
mod names;
mod pass;
mod send;
mod walk;
mod watch;

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use banger_client::Client;
use banger_hostfs::Dir;

use crate::connection;
use crate::failure::Failure;

use self::ignored::Ignored;
use self::names::Names;
use self::walk::{Files, Here, Walk, is_absent, is_gone};
use self::watch::Watcher;

/// A daemon that ends this often in a row, while it does what it is asked, ends this, too.
const MOST_DAEMONS: usize = 3;

/// What a synchronisation is of.
#[derive(Debug)]
pub(crate) struct Sync {
    /// The tree, an absolute path without symbolic links.
    pub(crate) root: PathBuf,
    /// The VM.
    pub(crate) vm: String,
    /// The directory in it.
    pub(crate) to: Vec<u8>,
    /// Remove what is in the directory and not in the tree.
    pub(crate) delete: bool,
    /// What goes that could stay.
    pub(crate) extent: Extent,
    /// Give everything to this user and group.
    pub(crate) owner: Option<(u32, u32)>,
}

/// How much of a tree goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// What git tracks, or would if it was asked to, but for what looks like a secret.
    Usual,
    /// The same, and untracked files that look like secrets.
    WithSecrets,
    /// All but git's own directories.
    All,
}

/// What happened.
#[derive(Debug)]
pub(crate) enum Event<'a> {
    /// A file, link or directory was sent.
    Pushed(&'a Path),
    /// One was removed.
    Removed(&'a [u8]),
    /// One stays, because it cannot be read, or looks like a secret.
    Skipped(&'a Path, &'a str),
    /// Git was not asked what it tracks, for this reason: what patterns name stays, tracked or not.
    Unasked(&'a str),
    /// What came together is done.
    Done {
        /// How many were sent.
        pushed: usize,
        /// How many were removed.
        removed: usize,
        /// Bytes of file content.
        bytes: u64,
    },
    /// From now on, changes are sent as they happen.
    Watching,
    /// The daemon ended; another one runs, and what differs is sent.
    Restarted,
}

/// A synchronisation that goes on.
pub(crate) struct Syncing<'a> {
    sync: &'a Sync,
    /// The tree, held: all of it is looked at and read below this.
    dir: Arc<Dir>,
    /// Every name of a file, while changes are watched for.
    names: Names,
    client: Client,
    /// The daemon's process.
    daemon: u32,
    ignored: Ignored,
    watcher: Option<Watcher>,
    /// What was told to look like a secret: once each.
    held: HashSet<PathBuf>,
    /// Something was told of what is not done yet, or another daemon was: that it is done is told even if nothing is left.
    is_owed: bool,
    tell: &'a mut dyn FnMut(&Event<'_>),
}

impl<'a> Syncing<'a> {
    /// One that begins, with a daemon that is started if there is none.
    pub(crate) async fn begin(
        sync: &'a Sync,
        watch: bool,
        tell: &'a mut dyn FnMut(&Event<'_>),
    ) -> Result<Self, Failure> {
        let dir = Dir::open(&sync.root);
        let dir = Arc::new(dir.map_err(|error| Failure::during("open the directory", &error))?);
        let watcher = watch.then(Watcher::new).transpose();
        let watcher = watcher.map_err(|error| Failure::during("watch for changes", &error))?;
        let client = connection::connect().await?;
        Ok(Self {
            sync,
            names: Names::new(watch),
            daemon: client.version().await?.pid,
            client,
            ignored: Ignored::new(&sync.root, Arc::clone(&dir), sync.extent),
            dir,
            watcher,
            held: HashSet::new(),
            is_owed: false,
            tell,
        })
    }

    /// A pass, and then changes for as long as the tree is there, if it is watched.
    pub(crate) async fn run(mut self) -> Result<(), Failure> {
        if let Some(why) = self.ignored.unasked() {
            (self.tell)(&Event::Unasked(&why));
        }
        let passed = self.pass().await;
        self.or_again(passed).await?;
        if self.watcher.is_some() {
            (self.tell)(&Event::Watching);
        }
        while let Some(watcher) = &mut self.watcher {
            let changes = watcher.next().await;
            let changes = changes.map_err(|error| Failure::during("watch for changes", &error))?;
            if changes.gone {
                return Err(self.gone());
            }
            let sent = if changes.lost || changes.paths.iter().any(|path| Ignored::is_pattern_file(path)) {
                self.ignored = Ignored::new(&self.sync.root, Arc::clone(&self.dir), self.sync.extent);
                self.pass().await
            } else {
                self.changed(changes.paths).await
            };
            self.or_again(sent).await?;
        }
        Ok(())
    }

    /// What failed because the daemon ended is done by a pass with the next one. Whether it ended is seen by who answers now:
    /// the many ways in which a request breaks off need not be told apart.
    async fn or_again(&mut self, mut done: Result<(), Failure>) -> Result<(), Failure> {
        for _ in 0..MOST_DAEMONS {
            if done.is_ok() {
                return done;
            }
            let client = connection::connect().await?;
            done = match client.version().await {
                Ok(version) if version.pid == self.daemon => return done,
                Ok(version) => {
                    (self.client, self.daemon) = (client, version.pid);
                    self.is_owed = true;
                    (self.tell)(&Event::Restarted);
                    self.pass().await
                }
                // This one has ended as well.
                Err(error) => Err(error.into()),
            };
        }
        done
    }

    /// Fails when the tree is gone: it is none that is empty.
    fn still_there(&self) -> Result<(), Failure> {
        match std::fs::symlink_metadata(&self.sync.root).is_err_and(|error| is_gone(error.kind())) {
            true => Err(self.gone()),
            false => Ok(()),
        }
    }

    fn gone(&self) -> Failure {
        Failure::new(format!("{} is not there any more", self.sync.root.display()), &[])
    }

    /// Sends and removes what paths have become.
    async fn changed(&mut self, paths: BTreeSet<PathBuf>) -> Result<(), Failure> {
        let mut files = Files::new();
        let mut gone = BTreeSet::new();
        let mut linked = BTreeSet::new();
        for path in paths {
            linked.extend(self.names.others(&self.dir, &path));
            // Of what is not there any more, nobody knows what it was.
            if self.ignored.is(&path, false)
                || self.ignored.is(&path, true) && !Here::is_file(&self.dir, &path)
            {
                continue;
            }
            self.walk(&path, &mut files)?;
            if !files.contains_key(&path)
                && is_absent(&self.dir, &path)
                && self.ignored.suspicion(&path).is_none()
            {
                gone.insert(path);
            }
        }
        // What changed under one name has changed under all of them, and the kernel tells of one.
        for path in linked {
            if !files.contains_key(&path) && !gone.contains(&path) {
                self.walk(&path, &mut files)?;
            }
        }
        if let Some(watcher) = &mut self.watcher {
            watcher.forget(&gone);
        }
        let gone = gone.into_iter().filter(|_| self.sync.delete);
        let gone = gone
            .map(|path| path.into_os_string().into_encoded_bytes())
            .collect();
        self.send(files.into_keys().collect(), gone).await
    }

    /// Adds `path` and what is in it, and watches its directories.
    fn walk(&mut self, path: &Path, files: &mut Files) -> Result<(), Failure> {
        let mut walk = Walk {
            root: &self.dir,
            ignored: &mut self.ignored,
            names: &mut self.names,
            watcher: self.watcher.as_mut(),
            closed: Vec::new(),
            held: Vec::new(),
            files,
        };
        let walked = walk.add(path);
        for (path, why) in walk.held {
            if self.held.insert(path.clone()) {
                (self.tell)(&Event::Skipped(&path, &format!("it {why}")));
            }
        }
        for (path, error) in walk.closed {
            (self.tell)(&Event::Skipped(
                &path,
                &format!("what is in it cannot be read: {error}"),
            ));
        }
        walked.map_err(|error| {
            Failure::during(format!("look at {}", self.sync.root.join(path).display()), &error)
        })
    }
}
