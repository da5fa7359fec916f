//! The synchronisation: what it holds, and what it does when something changes.

mod pass;
mod send;

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use banger_hostfs::Dir;

use crate::error::Error;
use crate::guest::GuestFiles;

use super::ignored::Ignored;
use super::names::Names;
use super::spec::{Event, Sync};
use super::walk::{Files, Here, Walk, is_absent, is_gone};
use super::watch::Watcher;

/// A way to the guest that is another one this often in a row, each time that something is sent, ends this.
const MOST_WAYS: usize = 3;

/// A synchronisation that goes on.
pub struct Syncing<'a, G> {
    sync: &'a Sync,
    /// The tree, held: all of it is looked at and read below this.
    dir: Arc<Dir>,
    /// Every name of a file, while changes are watched for.
    names: Names,
    guest: G,
    ignored: Ignored,
    watcher: Option<Watcher>,
    /// What was told to look like a secret: once each.
    held: HashSet<PathBuf>,
    /// Something was told of what is not done yet, or another way was: that it is done is told even if nothing is left.
    is_owed: bool,
    tell: &'a mut dyn FnMut(&Event<'_>),
}

impl<'a, G: GuestFiles> Syncing<'a, G> {
    /// One that begins. Changes are told from now on if it is to `watch` for them.
    ///
    /// # Errors
    /// When the directory cannot be opened, or not watched.
    pub fn begin(
        sync: &'a Sync,
        watch: bool,
        guest: G,
        tell: &'a mut dyn FnMut(&Event<'_>),
    ) -> Result<Self, Error> {
        let dir = Arc::new(Dir::open(&sync.root).map_err(Error::Open)?);
        let watcher = watch.then(Watcher::new).transpose().map_err(Error::Watch)?;
        Ok(Self {
            sync,
            names: Names::new(watch),
            guest,
            ignored: Ignored::new(&sync.root, Arc::clone(&dir), sync.extent),
            dir,
            watcher,
            held: HashSet::new(),
            is_owed: false,
            tell,
        })
    }

    /// A pass, and then changes for as long as the tree is there, if it is watched.
    ///
    /// # Errors
    /// When something could not be sent, or the tree is gone.
    pub async fn run(mut self) -> Result<(), G::Error> {
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
            let changes = changes.map_err(Error::Watch)?;
            if changes.gone {
                return Err(self.gone().into());
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

    /// What failed because the way to the guest broke is done by a pass over the next one. Whether it broke is seen by looking for it
    /// again: the many ways in which a request breaks off need not be told apart.
    async fn or_again(&mut self, mut done: Result<(), G::Error>) -> Result<(), G::Error> {
        for _ in 0..MOST_WAYS {
            if done.is_ok() || !self.guest.look_again().await? {
                return done;
            }
            self.is_owed = true;
            (self.tell)(&Event::Restarted);
            done = self.pass().await;
        }
        done
    }

    /// Fails when the tree is gone: it is none that is empty.
    fn still_there(&self) -> Result<(), Error> {
        match std::fs::symlink_metadata(&self.sync.root).is_err_and(|error| is_gone(error.kind())) {
            true => Err(self.gone()),
            false => Ok(()),
        }
    }

    fn gone(&self) -> Error {
        Error::Gone(self.sync.root.clone())
    }

    /// Sends and removes what paths have become.
    async fn changed(&mut self, paths: BTreeSet<PathBuf>) -> Result<(), G::Error> {
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
    fn walk(&mut self, path: &Path, files: &mut Files) -> Result<(), Error> {
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
                &format!("its content cannot be read: {error}"),
            ));
        }
        walked.map_err(|source| Error::Look {
            path: self.sync.root.join(path),
            source,
        })
    }
}
