//! One way from a tree of this host to a directory of a VM: a pass sends what differs, and then changes go as the kernel
//! tells them.
//!
//! ```text
//!   pass:   walk (and watch) ─┐
//!           the VM's listing ─┴─> differing, and too many ──> push ──> remove
//!   change: paths ──> look again ──> there, or not ─────────> push ──> remove
//!           queue overflowed, or what is ignored has changed ──> pass
//! ```

mod ignored;
mod pass;
mod walk;
mod watch;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use banger_api::client::Client;
use banger_api::stream::{OfDirectory, PutFiles};
use banger_archive::pack::{PackError, Packing};

use crate::copy::packed;
use crate::failure::Failure;

pub(crate) use self::ignored::Ignored;
use self::walk::Files;
use self::watch::Watcher;

/// The most bytes of names in one request to remove files.
const MOST_NAMES: usize = 1 << 20;

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
    /// What git ignores goes, too.
    pub(crate) all: bool,
    /// Give everything to this user and group.
    pub(crate) owner: Option<(u32, u32)>,
}

/// What happened.
#[derive(Debug)]
pub(crate) enum Event<'a> {
    /// A file, link or directory was sent.
    Pushed(&'a Path),
    /// One was removed.
    Removed(&'a [u8]),
    /// One could not be read.
    Skipped(&'a Path, &'a str),
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
}

/// A synchronisation that goes on.
pub(crate) struct Syncing<'a> {
    sync: &'a Sync,
    client: &'a Client,
    ignored: Ignored,
    watcher: Option<Watcher>,
    tell: &'a mut dyn FnMut(&Event<'_>),
}

impl<'a> Syncing<'a> {
    pub(crate) fn new(
        sync: &'a Sync,
        client: &'a Client,
        watch: bool,
        tell: &'a mut dyn FnMut(&Event<'_>),
    ) -> Result<Self, Failure> {
        let watcher = watch.then(|| Watcher::new(&sync.root)).transpose();
        Ok(Self {
            sync,
            client,
            ignored: Ignored::new(&sync.root, sync.all),
            watcher: watcher.map_err(|error| Failure::during("watch for changes", &error))?,
            tell,
        })
    }

    /// A pass, and then changes for as long as the tree is there, if it is watched.
    pub(crate) async fn run(mut self) -> Result<(), Failure> {
        self.pass().await?;
        if self.watcher.is_some() {
            (self.tell)(&Event::Watching);
        }
        while let Some(watcher) = &mut self.watcher {
            let changes = watcher.next().await;
            let changes = changes.map_err(|error| Failure::during("watch for changes", &error))?;
            if changes.gone {
                let gone = format!("{} is not there any more", self.sync.root.display());
                return Err(Failure::new(gone, &[]));
            }
            if changes.lost || changes.paths.iter().any(|path| Ignored::is_pattern_file(path)) {
                self.ignored = Ignored::new(&self.sync.root, self.sync.all);
                self.pass().await?;
            } else {
                self.changed(changes.paths).await?;
            }
        }
        Ok(())
    }

    /// Sends and removes what paths have become.
    async fn changed(&mut self, paths: BTreeSet<PathBuf>) -> Result<(), Failure> {
        let mut files = Files::new();
        let mut gone: Vec<Vec<u8>> = Vec::new();
        for path in paths {
            // Of what is not there any more, nobody knows what it was.
            if self.ignored.is(&path, false)
                || self.ignored.is(&path, true) && !self.sync.root.join(&path).is_file()
            {
                continue;
            }
            let known = files.len();
            self.walk(&path, &mut files)?;
            let is_gone = files.len() == known && !files.contains_key(&path);
            if is_gone && self.sync.delete && self.sync.root.join(&path).symlink_metadata().is_err() {
                gone.push(path.into_os_string().into_encoded_bytes());
            }
        }
        self.send(files.into_keys().collect(), gone).await
    }

    /// Adds `path` and what is in it, and watches its directories.
    fn walk(&mut self, path: &Path, files: &mut Files) -> Result<(), Failure> {
        let watcher = &mut self.watcher;
        let mut enter = |dir: &Path| watcher.as_mut().map_or(Ok(()), |watcher| watcher.add(dir));
        let walked = walk::add(&self.sync.root, path, &mut self.ignored, &mut enter, files);
        walked.map_err(|error| {
            Failure::during(format!("look at {}", self.sync.root.join(path).display()), &error)
        })
    }

    async fn send(&mut self, push: Vec<PathBuf>, remove: Vec<Vec<u8>>) -> Result<(), Failure> {
        if push.is_empty() && remove.is_empty() {
            return Ok(());
        }
        let (pushed, bytes) = match push.is_empty() {
            true => (0, 0),
            false => self.push(push).await?,
        };
        let removed = self.remove(remove).await?;
        (self.tell)(&Event::Done {
            pushed,
            removed,
            bytes,
        });
        Ok(())
    }

    async fn push(&mut self, paths: Vec<PathBuf>) -> Result<(usize, u64), Failure> {
        let put = PutFiles {
            path: self.sync.to.clone(),
            names: Vec::new(),
            all: false,
            owner: self.sync.owner,
            replace: true,
        };
        let root = self.sync.root.clone();
        let (told, outcome) = std::sync::mpsc::channel();
        // A file that someone writes to while it is read is sent again, because that is a change, too.
        let packing = Packing {
            pad: true,
            ..Packing::default()
        };
        let sent = packed(
            self.client,
            &self.sync.vm,
            &put,
            packing,
            |_| {},
            move |packer| {
                for path in paths {
                    let skipped = match packer.one(&root.join(&path), path.as_os_str().as_encoded_bytes()) {
                        Ok(_) => None,
                        Err(error) => Some(passable(error)?),
                    };
                    let _ = told.send((path, skipped));
                }
                Ok(())
            },
        );
        let done = sent.await?;
        let mut pushed = 0;
        for (path, skipped) in outcome.try_iter() {
            match skipped {
                None => {
                    pushed += 1;
                    (self.tell)(&Event::Pushed(&path));
                }
                // Gone since it was looked at, which is a change of its own.
                Some(error) if is_absence(&error) => {}
                Some(error) => (self.tell)(&Event::Skipped(&path, &why(&error))),
            }
        }
        Ok((pushed, done.bytes))
    }

    async fn remove(&mut self, paths: Vec<Vec<u8>>) -> Result<usize, Failure> {
        let of = OfDirectory {
            path: self.sync.to.clone(),
        };
        let mut removed = 0;
        let mut paths = paths.as_slice();
        while !paths.is_empty() {
            let mut names = Vec::new();
            let taken = paths.iter().take_while(|path| {
                let fits = names.len() + path.len() < MOST_NAMES;
                if fits {
                    names.extend_from_slice(path);
                    names.push(0);
                }
                fits
            });
            let taken = taken.count();
            removed += self.client.remove_files(&self.sync.vm, &of, names).await?.entries as usize;
            for path in &paths[..taken] {
                (self.tell)(&Event::Removed(path));
            }
            paths = &paths[taken..];
        }
        Ok(removed)
    }
}

/// Whether a file that could not be packed may be left out: nothing of it is in the archive yet.
fn passable(error: PackError) -> Result<PackError, PackError> {
    match error {
        PackError::File {
            what: "open" | "look at" | "look for holes in",
            ..
        }
        | PackError::Changed(_) => Ok(error),
        error => Err(error),
    }
}

fn is_absence(error: &PackError) -> bool {
    match error {
        PackError::Changed(_) => true,
        PackError::File { source, .. } => matches!(
            source.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
        ),
        _ => false,
    }
}

fn why(error: &PackError) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}
