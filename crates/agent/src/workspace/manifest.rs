//! What was placed, and how it looked then: a journal of JSON lines.
//!
//! A file is announced before it is written and confirmed after it is there; one that was announced alone is ours, whatever
//! it holds. The generation is the last line of a stream that came whole.

use std::collections::BTreeMap;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use banger_guest_api::query::{decoded, encoded};
use banger_hostfs::{Dir, Error};
use serde::{Deserialize, Serialize};

use super::OWN_DIR;

/// The journal's name.
pub(super) const NAME: &str = "placed";

/// How a file looked when it was placed. Its inode number is left out: an overlay may give another after a reboot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Look {
    link: bool,
    size: u64,
    mtime: i64,
    mtime_ns: i64,
    mode: u32,
}

impl Look {
    /// How a file looks.
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            link: metadata.is_symlink(),
            size: metadata.size(),
            mtime: metadata.mtime(),
            mtime_ns: metadata.mtime_nsec(),
            mode: metadata.mode() & 0o7777,
        }
    }
}

/// A file that was placed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// The host's name for its content.
    pub(super) tag: String,
    /// How it looked; nothing while it is being written.
    pub(super) look: Option<Look>,
}

/// HEAD, its branch and the index, as far as it takes to see that they were touched.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct GitState {
    head: String,
    tip: String,
    index: Option<(u64, i64, i64)>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Writing { path: String },
    File { path: String, tag: String, look: Look },
    Gone { path: String },
    Generation { id: String, git: GitState },
}

/// What was placed.
#[derive(Debug, Default)]
pub(super) struct Manifest {
    /// The files, by path under the workspace.
    pub(super) entries: BTreeMap<Vec<u8>, Entry>,
    /// Of the last stream, when it came whole.
    pub(super) generation: Option<String>,
    /// How the repository looked then.
    pub(super) git: Option<GitState>,
}

impl Manifest {
    /// Reads the manifest of a workspace; nothing when there is none.
    pub(super) fn read(base: &Path) -> io::Result<Option<Self>> {
        // Root reads it, and a user of the guest could put a link or a pipe there.
        let found = Dir::open(base).and_then(|dir| dir.file(Path::new(OWN_DIR).join(NAME)));
        let file = match found {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(Error::File { source, .. }) => return Err(source),
            Err(error) => return Err(io::Error::other(error)),
        };
        let mut manifest = Self::default();
        for line in BufReader::new(file).split(b'\n') {
            // A line that a crash tore is the last one.
            let Ok(line) = serde_json::from_slice(&line?) else {
                break;
            };
            manifest.take(line);
        }
        Ok(Some(manifest))
    }

    fn take(&mut self, line: Line) {
        self.generation = None;
        match line {
            Line::Writing { path } => {
                let entry = Entry {
                    tag: String::new(),
                    look: None,
                };
                self.entries.insert(decoded(&path).unwrap_or_default(), entry);
            }
            Line::File { path, tag, look } => {
                let entry = Entry {
                    tag,
                    look: Some(look),
                };
                self.entries.insert(decoded(&path).unwrap_or_default(), entry);
            }
            Line::Gone { path } => {
                self.entries.remove(&decoded(&path).unwrap_or_default());
            }
            Line::Generation { id, git } => {
                self.generation = Some(id);
                self.git = Some(git);
            }
        }
    }
}

/// The journal while a stream is applied.
#[derive(Debug)]
pub(super) struct Journal(File);

impl Journal {
    /// Opens the journal of a workspace, with one line for each file that is in it.
    pub(super) fn open(base: &Path) -> io::Result<Self> {
        let manifest = Manifest::read(base)?.unwrap_or_default();
        let (path, fresh) = (path(base), path(base).with_extension("fresh"));
        std::fs::create_dir_all(base.join(OWN_DIR))?;
        let mut out = io::BufWriter::new(File::create(&fresh)?);
        for (path, entry) in &manifest.entries {
            let path = encoded(path);
            let line = match entry.look {
                Some(look) => Line::File {
                    path,
                    tag: entry.tag.clone(),
                    look,
                },
                None => Line::Writing { path },
            };
            write(&mut out, &line)?;
        }
        if let Some(git) = manifest.git {
            // The generation is over with what comes now; what the repository looked like is not.
            let id = String::new();
            write(&mut out, &Line::Generation { id, git })?;
        }
        out.flush()?;
        std::fs::rename(&fresh, &path)?;
        Ok(Self(OpenOptions::new().append(true).open(path)?))
    }

    /// A file is about to be written.
    pub(super) fn writing(&mut self, path: &[u8]) -> io::Result<()> {
        write(&mut self.0, &Line::Writing { path: encoded(path) })
    }

    /// A file is there.
    pub(super) fn written(&mut self, path: &[u8], tag: String, look: Look) -> io::Result<()> {
        let path = encoded(path);
        write(&mut self.0, &Line::File { path, tag, look })
    }

    /// A file is gone.
    pub(super) fn gone(&mut self, path: &[u8]) -> io::Result<()> {
        write(&mut self.0, &Line::Gone { path: encoded(path) })
    }

    /// The stream came whole.
    pub(super) fn end(&mut self, id: String, git: GitState) -> io::Result<()> {
        write(&mut self.0, &Line::Generation { id, git })
    }
}

/// One write for one line: nothing of it waits in memory.
fn write(to: &mut impl Write, line: &Line) -> io::Result<()> {
    let mut bytes = serde_json::to_vec(line)?;
    bytes.push(b'\n');
    to.write_all(&bytes)
}

fn path(base: &Path) -> PathBuf {
    base.join(OWN_DIR).join(NAME)
}

impl GitState {
    /// How the repository looks now.
    pub(super) fn now(base: &Path) -> Self {
        let git = base.join(".git");
        let head = text(&git, "HEAD");
        let index = std::fs::metadata(git.join("index")).ok();
        Self {
            tip: head
                .strip_prefix("ref: ")
                .map(|branch| tip(&git, branch.trim_end()))
                .unwrap_or_default(),
            head,
            index: index.map(|index| (index.size(), index.mtime(), index.mtime_nsec())),
        }
    }
}

/// What a branch points at, as far as files tell it.
fn tip(git: &Path, branch: &str) -> String {
    let loose = text(git, branch);
    if !loose.is_empty() {
        return loose;
    }
    let packed = text(git, "packed-refs");
    let line = packed
        .lines()
        .find(|line| line.split_once(' ').is_some_and(|(_, name)| name == branch));
    // A loose reference ends with a line feed; one that was packed since is the same.
    line.and_then(|line| line.split_once(' '))
        .map(|(tip, _)| format!("{tip}\n"))
        .unwrap_or_default()
}

/// A small file of a repository; nothing when it is not there, or not itself.
fn text(git: &Path, name: &str) -> String {
    // 16 MiB hold the references of the largest repositories.
    let read = Dir::open(git).and_then(|dir| dir.read(name, 16 << 20));
    read.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default()
}
