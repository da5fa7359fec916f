//! A workspace as the tar that the agent unpacks, made while it is sent.

use std::fs::{File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use bytes::Bytes;
use futures_util::StreamExt;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;

use super::checkout::{Checkout, inside};
use super::{Error, Plan};
use crate::guest::RequestBody;

/// Bytes of one chunk of the stream; four are under way at most.
const CHUNK: usize = 256 << 10;

/// The tar of a planned workspace, and what went wrong while it was made, once it is.
pub(crate) fn tar(plan: Plan, checkout: Checkout) -> (RequestBody, JoinHandle<Option<Error>>) {
    let (sender, receiver) = mpsc::channel::<io::Result<Bytes>>(4);
    let task = tokio::task::spawn_blocking(move || {
        let mut tree = Tree {
            tar: tar::Builder::new(Chunks {
                buffer: Vec::with_capacity(CHUNK),
                to: sender.clone(),
            }),
        };
        match tree
            .workspace(&plan, &checkout)
            .and_then(|()| tree.end(&plan.root))
        {
            Ok(()) => None,
            // The guest stopped taking: its own answer says why.
            Err(Error::File { source, .. }) if source.kind() == io::ErrorKind::BrokenPipe => None,
            Err(error) => {
                // An error in the stream makes the request fail instead of ending it like a whole tar.
                let _ = sender.blocking_send(Err(io::Error::other(error.to_string())));
                Some(error)
            }
        }
    });
    let frames = ReceiverStream::new(receiver).map(|chunk| chunk.map(Frame::data));
    (BodyExt::boxed(StreamBody::new(frames)), task)
}

struct Tree {
    tar: tar::Builder<Chunks>,
}

impl Tree {
    fn workspace(&mut self, plan: &Plan, checkout: &Checkout) -> Result<(), Error> {
        self.directory(checkout.root(), b"")?;
        if plan.as_is {
            for path in plan.files.keys() {
                self.entry(&inside(&plan.root, path), path)?;
            }
        }
        Ok(())
    }

    fn directory(&mut self, dir: &Path, under: &[u8]) -> Result<(), Error> {
        let read = |source| file_error("read", dir, source);
        let mut entries = std::fs::read_dir(dir)
            .map_err(read)?
            .collect::<Result<Vec<_>, _>>()
            .map_err(read)?;
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let mut path = under.to_vec();
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(entry.file_name().as_bytes());
            self.entry(&entry.path(), &path)?;
            if entry.file_type().map_err(read)?.is_dir() {
                self.directory(&entry.path(), &path)?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, from: &Path, path: &[u8]) -> Result<(), Error> {
        let name = Path::new(std::ffi::OsStr::from_bytes(path));
        let metadata = match std::fs::symlink_metadata(from) {
            Ok(metadata) => metadata,
            // Deleted since the plan was made: as if it had been deleted before.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(source) => return Err(file_error("look at", from, source)),
        };
        let mut header = header(&metadata);
        let written = if metadata.is_symlink() {
            let target = std::fs::read_link(from).map_err(|source| file_error("read", from, source))?;
            self.tar.append_link(&mut header, name, target)
        } else if metadata.is_dir() {
            self.tar.append_data(&mut header, name, io::empty())
        } else {
            let file = File::open(from).map_err(|source| file_error("open", from, source))?;
            self.tar
                .append_data(&mut header, name, Exactly::new(file, metadata.len()))
        };
        written.map_err(|source| file_error("copy", from, source))
    }

    fn end(&mut self, root: &Path) -> Result<(), Error> {
        let ended = self.tar.finish().and_then(|()| self.tar.get_mut().flush());
        ended.map_err(|source| file_error("copy", root, source))
    }
}

fn header(metadata: &Metadata) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    let (kind, size) = if metadata.is_symlink() {
        (tar::EntryType::Symlink, 0)
    } else if metadata.is_dir() {
        (tar::EntryType::Directory, 0)
    } else {
        (tar::EntryType::Regular, metadata.len())
    };
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(metadata.mode() & 0o7777);
    header.set_mtime(u64::try_from(metadata.mtime()).unwrap_or_default());
    header
}

fn file_error(what: &'static str, path: &Path, source: io::Error) -> Error {
    Error::File {
        what,
        path: path.to_owned(),
        source,
    }
}

/// As many bytes as the header announced: a file that grew meanwhile is cut, one that shrank is an error, because
/// what follows in the archive would be read from the wrong place.
struct Exactly {
    file: io::Take<File>,
}

impl Exactly {
    fn new(file: File, len: u64) -> Self {
        Self { file: file.take(len) }
    }
}

impl Read for Exactly {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        if read == 0 && self.file.limit() > 0 && !buffer.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "it changed while it was being copied",
            ));
        }
        Ok(read)
    }
}

/// A writer whose chunks become the body of a request.
struct Chunks {
    buffer: Vec<u8>,
    to: mpsc::Sender<io::Result<Bytes>>,
}

impl Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(CHUNK - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..taken]);
        if self.buffer.len() == CHUNK {
            self.flush()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::replace(&mut self.buffer, Vec::with_capacity(CHUNK));
        self.to
            .blocking_send(Ok(chunk.into()))
            .map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "the guest takes no more"))
    }
}
