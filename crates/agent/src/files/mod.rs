//! Copying files into the guest and out of it: routes to the packer and the unpacker, each on a thread of its own beside
//! the connection.

mod frames;
mod incoming;
mod list;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use banger_archive::pack::{Packer, Packing, name_of};
use banger_archive::unpack::{Destination, Unpacking, remove, unpack};
use banger_guest_api::{Failure, FilesDone, GetFiles, OfDirectory, PutFiles, routes};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};

use crate::exec::Surroundings;
use crate::failure::{During, failed, refused};
use crate::server::{Answer, json};

pub(crate) use self::incoming::Chunks;

/// The most bytes of names of files to remove at once.
const MAX_NAMES: usize = 8 << 20;

/// Where relative paths begin.
const HOME: &[u8] = b"/root";

/// Answers a request for files.
pub(crate) async fn answer(
    request: Request<Incoming>,
    surroundings: &Surroundings,
) -> Result<Answer, Failure> {
    let query = request.uri().query().unwrap_or_default().to_owned();
    match (request.method(), request.uri().path()) {
        (&Method::PUT, routes::FILES) => {
            let put = PutFiles::parse(&query).during("understand where files go")?;
            let path = place(surroundings, &put.path);
            done(&write(request.into_body(), path, put).await?)
        }
        (&Method::GET, routes::FILES) => {
            let get = GetFiles::parse(&query).during("understand which files are asked for")?;
            let paths = get
                .paths
                .iter()
                .map(|path| (place(surroundings, path), name_of(path)));
            read(paths.collect(), &get)
        }
        (&Method::GET, routes::FILES_LIST) => {
            let of = OfDirectory::parse(&query).during("understand which directory is asked for")?;
            let path = place(surroundings, &of.path);
            Ok(frames::answer(move |out| list::below(&path, out)))
        }
        (&Method::POST, routes::FILES_REMOVE) => {
            let of = OfDirectory::parse(&query).during("understand where files go away")?;
            let path = place(surroundings, &of.path);
            let names = Limited::new(request.into_body(), MAX_NAMES).collect().await;
            let names = names.map_err(|error| refused(format!("read which files go away: {error}")))?;
            done(&blocking("removing files", move || take_away(path, &names.to_bytes())).await?)
        }
        (method, path) => Err(refused(format!("this agent has no {method} {path}"))),
    }
}

fn done(done: &FilesDone) -> Result<Answer, Failure> {
    Ok(json(StatusCode::OK, done))
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

async fn write(body: Incoming, path: PathBuf, put: PutFiles) -> Result<FilesDone, Failure> {
    let tar = Chunks::of(body);
    let work = move || {
        let mut unpacking = Unpacking {
            all: put.all,
            owner: put.owner,
            replace: put.replace,
            tops: put.names.clone(),
            ..Unpacking::default()
        };
        let to = match put.replace {
            true => Destination::directory(&path),
            false => Destination::find(&path, &put.names, &mut unpacking),
        };
        let to = to.during("copy files into the guest")?;
        let done = unpack(tar, to, &unpacking, &mut |_| {}).during("copy files into the guest")?;
        Ok(FilesDone {
            entries: done.entries,
            bytes: done.bytes,
            notes: done.notes,
        })
    };
    blocking("copying files", work).await
}

fn read(paths: Vec<(PathBuf, Option<Vec<u8>>)>, get: &GetFiles) -> Result<Answer, Failure> {
    for (path, _) in &paths {
        std::fs::symlink_metadata(path).during(format!("look at {}", path.display()))?;
    }
    let packing = Packing {
        all: get.all,
        follow: get.follow,
        pad: false,
    };
    Ok(frames::answer(move |out| {
        let mut packer = Packer::new(out, packing);
        for (path, name) in &paths {
            let packed = packer.tree(path, name.as_deref().unwrap_or_default());
            packed.during("copy files out of the guest")?;
        }
        let (_, packed) = packer.finish().during("copy files out of the guest")?;
        Ok(FilesDone {
            entries: packed.entries,
            bytes: packed.bytes,
            notes: packed.notes,
        })
    }))
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

async fn blocking<T: Send + 'static>(
    what: &'static str,
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let work = tokio::task::spawn_blocking(work).await;
    work.unwrap_or_else(|_| Err(refused(format!("{what} panicked"))))
}

/// An answer with a body of its own.
fn streamed(body: frames::Body) -> Answer {
    Response::new(BodyExt::boxed(body))
}
