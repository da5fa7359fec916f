//! A workspace as the stream of entries that the agent applies, made while it is sent.

use std::collections::BTreeSet;
use std::fs::{File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use banger_api::Progress;
use banger_caller::Caller;
use banger_guest_api::workspace_files::{Head, Kind, MAX_CHUNK, chunk_header, tail};
use banger_guest_api::{Channel, PayloadWriter};
use banger_request::Reporter;
use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;

use crate::checkout::{Content, Own};
use crate::delta::Delta;
use crate::error::Error;
use crate::plan::Plan;

/// The most bytes of a file that are read at once.
const CHUNK: usize = 256 << 10;

/// Progress is told about so often.
const TELL: u64 = 4 << 20;

/// The tag of a file that changed while it was read: the next time, it goes again.
const CHANGED: &str = "changed";

/// What is sent.
pub(crate) struct Shipment {
    /// The files of the host.
    pub(crate) plan: Plan,
    /// Which of them.
    pub(crate) delta: Delta,
    /// The pack, once it is made.
    pub(crate) pack: oneshot::Receiver<Vec<Own>>,
    /// The other files of the repository.
    pub(crate) own: Vec<Own>,
    /// What the workspace is called then.
    pub(crate) generation: String,
    /// Whom to tell how far it is.
    pub(crate) say: Reporter,
}

/// What was sent.
#[derive(Debug)]
pub(crate) struct Sent {
    /// The plan, with the tags that its files turned out to have.
    pub(crate) plan: Plan,
    /// Bytes of the stream.
    pub(crate) bytes: u64,
}

/// The stream in frames, and how it ended on this side. One that fails ends early, without its last entry.
pub(crate) fn stream(shipment: Shipment) -> (ReceiverStream<Bytes>, JoinHandle<Result<Option<Sent>, Error>>) {
    let (sender, receiver) = mpsc::channel(2);
    let caller = Caller::current();
    let sending = move || {
        let mut out = Out {
            to: PayloadWriter::new(Frames(sender), Channel::Stdin),
            read: vec![0; CHUNK].into(),
            sent: 0,
        };
        match shipment.send(&mut out) {
            // The guest stopped taking: its own answer says why.
            Err(Error::File { source, .. }) if source.kind() == io::ErrorKind::BrokenPipe => Ok(None),
            Err(error) => Err(error),
            Ok(plan) => Ok(Some(Sent {
                plan,
                bytes: out.sent,
            })),
        }
    };
    let task = tokio::task::spawn_blocking(move || Caller::scope(caller, sending));
    (ReceiverStream::new(receiver), task)
}

impl Shipment {
    fn send(self, out: &mut Out) -> Result<Plan, Error> {
        let Self { mut plan, delta, .. } = self;
        for path in &delta.remove {
            out.bare(Kind::Remove, path)?;
        }
        let what = format!("placing {}", plan.source.root.display());
        let bytes = delta.send.iter().filter_map(|path| plan.files.get(path));
        let total = bytes.map(|file| file.bytes).sum();
        let mut told = 0;
        for path in &delta.send {
            let Some(file) = plan.files.get(path) else {
                continue;
            };
            let tag = out.file(&plan, path, file)?;
            if let Some(file) = plan.files.get_mut(path) {
                file.tag = tag;
            }
            if out.sent >= told + TELL {
                told = out.sent;
                let (what, done) = (what.clone(), out.sent.min(total));
                let total = Some(total);
                self.say.report(Progress::Bytes { what, done, total });
            }
        }
        for path in directories(&plan, &delta) {
            out.directory(&plan, &path)?;
        }
        // Who made it says why when there is none.
        let Ok(pack) = self.pack.blocking_recv() else {
            let gone = io::Error::from(io::ErrorKind::BrokenPipe);
            return Err(Error::file("pack", &plan.source.root, gone));
        };
        for own in pack.iter().chain(&self.own) {
            out.own(own)?;
        }
        out.end(self.generation)?;
        Ok(plan)
    }
}

/// Directories that something is written to, and those that nothing else would make.
fn directories(plan: &Plan, delta: &Delta) -> BTreeSet<Vec<u8>> {
    let mut directories = plan.empty.clone();
    directories.extend(plan.modules.keys().cloned());
    for path in &delta.send {
        let mut rest = &path[..];
        while let Some(slash) = rest.iter().rposition(|&byte| byte == b'/') {
            rest = &rest[..slash];
            if !directories.insert(rest.to_vec()) {
                break;
            }
        }
    }
    directories
}

/// The stream's writer.
struct Out {
    to: PayloadWriter<Frames>,
    /// What was read of a file, used again for each.
    read: Box<[u8]>,
    sent: u64,
}

/// Takes whole frames.
struct Frames(mpsc::Sender<Bytes>);

impl Write for Frames {
    fn write(&mut self, frame: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(Bytes::copy_from_slice(frame));
        sent.map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "the guest no longer accepts data"))?;
        Ok(frame.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Out {
    fn bare(&mut self, kind: Kind, path: &[u8]) -> Result<(), Error> {
        let written = self
            .write_all(&Head::bare(kind, path.to_vec()).encoded())
            .and_then(|()| self.write_all(&tail("")));
        written.map_err(|source| Error::file("send", &shown(path), source))
    }

    /// Sends a file and gives its tag, which says so when it is not what was planned.
    fn file(&mut self, plan: &Plan, path: &[u8], file: &crate::plan::File) -> Result<String, Error> {
        let gone = |out: &mut Self| {
            out.bare(Kind::Remove, path)?;
            Ok(CHANGED.to_owned())
        };
        let found = match plan.look(path) {
            Ok(found) => found,
            // Deleted since the plan was made, or behind a link by now: as if it had been deleted before.
            Err(error) if error.is_absent() || error.is_link() => return gone(self),
            Err(error) => return Err(banger_git::Error::from(error).into()),
        };
        let from = found.path();
        let metadata = found.metadata().clone();
        let kind = match found.kind() {
            banger_hostfs::Kind::Symlink => Kind::Symlink,
            banger_hostfs::Kind::File => Kind::File,
            // It is something else by now.
            _ => return gone(self),
        };
        let planned = facts(&metadata);
        let mut unchanged = planned == (file.bytes, file.changed);
        self.begin(kind, path, &metadata)
            .map_err(|source| Error::file("send", from, source))?;
        if kind == Kind::Symlink {
            let target = found.target().map_err(banger_git::Error::from)?;
            self.chunk(&target)
                .map_err(|source| Error::file("send", from, source))?;
        } else {
            let opened = found.open().map_err(banger_git::Error::from)?;
            let after = self
                .content(opened)
                .map_err(|source| Error::file("copy", from, source))?;
            unchanged &= facts(&after) == planned;
        }
        let tag = match unchanged {
            true => file.tag.clone(),
            false => CHANGED.to_owned(),
        };
        self.write_all(&tail(&tag))
            .map_err(|source| Error::file("send", from, source))?;
        Ok(tag)
    }

    fn directory(&mut self, plan: &Plan, path: &[u8]) -> Result<(), Error> {
        // One that is gone on the host is in a commit alone.
        let Ok(found) = plan.look(path) else {
            return Ok(());
        };
        let written = self
            .begin(Kind::Directory, path, found.metadata())
            .and_then(|()| self.write_all(&tail("")));
        written.map_err(|source| Error::file("send", found.path(), source))
    }

    fn own(&mut self, own: &Own) -> Result<(), Error> {
        let mut written = || match &own.content {
            None => {
                self.write_all(&Head::bare(Kind::RemoveOwn, own.path.clone()).encoded())?;
                self.write_all(&tail(""))
            }
            Some(Content::Bytes(bytes)) => {
                let head = Head {
                    mode: 0o644,
                    mtime: now(),
                    ..Head::bare(Kind::Own, own.path.clone())
                };
                self.write_all(&head.encoded())?;
                for chunk in bytes.chunks(MAX_CHUNK) {
                    self.chunk(chunk)?;
                }
                self.write_all(&tail(""))
            }
            Some(Content::File(path)) => {
                let file = File::open(path)?;
                self.begin(Kind::Own, &own.path, &file.metadata()?)?;
                self.content(file)?;
                self.write_all(&tail(""))
            }
        };
        written().map_err(|source| Error::file("send", &shown(&own.path), source))
    }

    fn end(&mut self, generation: String) -> Result<(), Error> {
        let head = Head::bare(Kind::End, generation.into_bytes());
        let written = self.write_all(&head.encoded()).and_then(|()| self.flush());
        written.map_err(|source| Error::file("send", Path::new("the end"), source))
    }

    fn begin(&mut self, kind: Kind, path: &[u8], metadata: &Metadata) -> io::Result<()> {
        let head = Head {
            kind,
            path: path.to_vec(),
            mode: metadata.mode() & 0o7777,
            mtime: metadata.mtime(),
            mtime_ns: u32::try_from(metadata.mtime_nsec()).unwrap_or_default(),
        };
        self.write_all(&head.encoded())
    }

    fn chunk(&mut self, chunk: &[u8]) -> io::Result<()> {
        if chunk.is_empty() {
            return Ok(());
        }
        self.write_all(&chunk_header(chunk))?;
        self.write_all(chunk)
    }

    /// Sends a file's content, and gives what it looks like then.
    fn content(&mut self, mut file: File) -> io::Result<Metadata> {
        loop {
            let read = file.read(&mut self.read)?;
            if read == 0 {
                return file.metadata();
            }
            let chunk = &self.read[..read];
            let header = chunk_header(chunk);
            self.to.write_all(&header)?;
            self.to.write_all(chunk)?;
            self.sent += (header.len() + chunk.len()) as u64;
        }
    }
}

fn facts(metadata: &Metadata) -> (u64, (i64, i64)) {
    (metadata.len(), (metadata.mtime(), metadata.mtime_nsec()))
}

fn shown(path: &[u8]) -> PathBuf {
    PathBuf::from(String::from_utf8_lossy(path).into_owned())
}

fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.to.write(bytes)?;
        self.sent += taken as u64;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
