//! Copying files into the guest and out of it: routes to the packer and the unpacker, each on a thread of its own that has
//! the connection.

mod list;
mod stream;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use banger_archive::pack::{Packer, Packing, name_of};
use banger_archive::unpack::{Destination, LastLink, Links, Unpacking, remove, unpack};
use banger_guest_api::{Failure, FilesDone, GetFiles, OfDirectory, PutFiles, routes};
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode};

use crate::answer::{Answer, json};
use crate::exec::Surroundings;
use crate::failure::{During, failed, refused};
use crate::socket::Socket;

pub(crate) use self::stream::serve;

/// The most bytes of names of files to remove at once.
const MAX_NAMES: usize = 8 << 20;

/// Where relative paths begin.
const HOME: &[u8] = b"/root";

/// A copy that was asked for.
pub(crate) enum Copy {
    /// Into the guest.
    In(PathBuf, PutFiles),
    /// Out of it: paths, and their names in the archive.
    Out(Vec<(PathBuf, Option<Vec<u8>>)>, GetFiles),
    /// The names of what is in a directory.
    List(PathBuf),
}

impl Copy {
    /// What a request asks for.
    pub(crate) fn asked(request: &Request<Incoming>, surroundings: &Surroundings) -> Result<Self, Failure> {
        let query = request.uri().query().unwrap_or_default();
        match (request.method(), request.uri().path()) {
            (&Method::PUT, routes::FILES) => {
                let put = PutFiles::parse(query).during("parse the request to copy files")?;
                Ok(Self::In(place(surroundings, &put.path), put))
            }
            (&Method::GET, routes::FILES) => {
                let get = GetFiles::parse(query).during("parse the request for files")?;
                let paths = get.paths.iter();
                let paths = paths.map(|path| (place(surroundings, path), name_of(path)));
                Ok(Self::Out(paths.collect(), get))
            }
            (&Method::GET, routes::FILES_LIST) => {
                let of = OfDirectory::parse(query).during("parse the request for a directory")?;
                Ok(Self::List(place(surroundings, &of.path)))
            }
            (method, path) => Err(refused(format!("this agent has no {method} {path}"))),
        }
    }

    /// Does it through a connection whose client had already `sent` something.
    pub(crate) fn through(self, socket: Socket, sent: Bytes) {
        stream::serve(socket, sent, |input, out| match self {
            Self::In(path, put) => write(input, &path, &put),
            Self::Out(paths, get) => read(&paths, &get, out),
            Self::List(path) => list::below(&path, out),
        });
    }
}

/// Removes the files that a request names.
pub(crate) async fn removed(
    request: Request<Incoming>,
    surroundings: &Surroundings,
) -> Result<Answer, Failure> {
    let query = request.uri().query().unwrap_or_default();
    let of = OfDirectory::parse(query).during("parse the request to remove files")?;
    let path = place(surroundings, &of.path);
    let names = Limited::new(request.into_body(), MAX_NAMES).collect().await;
    let names =
        names.map_err(|error| refused(format!("failed to read the list of files to remove: {error}")))?;
    let work = tokio::task::spawn_blocking(move || take_away(path, &names.to_bytes())).await;
    let done = work.unwrap_or_else(|_| Err(refused("removing files panicked")))?;
    Ok(json(StatusCode::OK, &done))
}

/// Where a path of the guest is.
fn place(surroundings: &Surroundings, path: &[u8]) -> PathBuf {
    let mut place = surroundings.root.as_os_str().as_bytes().to_vec();
    if !path.starts_with(b"/") {
        place.extend_from_slice(HOME);
        place.push(b'/');
    }
    place.extend_from_slice(path);
    PathBuf::from(OsStr::from_bytes(&place))
}

fn write(tar: &mut stream::In<'_>, path: &Path, put: &PutFiles) -> Result<FilesDone, Failure> {
    let mut unpacking = Unpacking {
        all: put.all,
        owner: put.owner,
        replace: put.replace,
        tops: put.names.clone(),
        links: if put.within { Links::Within } else { Links::Keep },
        ..Unpacking::default()
    };
    let to = match put.replace {
        true => Destination::directory(path),
        // The links of a guest are its own.
        false => Destination::find(path, &put.names, LastLink::Followed, &mut unpacking),
    };
    let to = to.during("copy files into the guest")?;
    let done = unpack(tar, to, &unpacking, &mut |_| {}).during("copy files into the guest")?;
    Ok(FilesDone {
        entries: done.entries,
        bytes: done.bytes,
        notes: done.notes,
    })
}

fn read(
    paths: &[(PathBuf, Option<Vec<u8>>)],
    get: &GetFiles,
    out: &mut stream::Out<'_>,
) -> Result<FilesDone, Failure> {
    let packing = Packing {
        all: get.all,
        follow: get.follow,
        pad: false,
    };
    let mut packer = Packer::new(out, packing);
    for (path, name) in paths {
        let packed = packer.tree(path, name.as_deref().unwrap_or_default());
        packed.during("copy files out of the guest")?;
    }
    let (_, packed) = packer.finish().during("copy files out of the guest")?;
    Ok(FilesDone {
        entries: packed.entries,
        bytes: packed.bytes,
        notes: packed.notes,
    })
}

fn take_away(path: PathBuf, names: &[u8]) -> Result<FilesDone, Failure> {
    let mut done = FilesDone::default();
    if !path.exists() {
        return Ok(done);
    }
    let to = Destination::directory(&path).during("remove files of the guest")?;
    for name in names.split(|&byte| byte == 0).filter(|name| !name.is_empty()) {
        let removed = remove(to.dir(), name);
        let removed =
            removed.map_err(|error| failed(format!("remove {}", String::from_utf8_lossy(name)), error))?;
        done.entries += u64::from(removed);
    }
    Ok(done)
}
