//! Secrets of the host as files in memory: where they are, and that nothing of them gets to a disk.
//!
//! The directory is a file system of its own, so that it holds whatever an image's init makes of `/run`: a tmpfs that is not
//! swapped out, or else, on kernels before 6.4, a ramfs, which never is.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use banger_guest_api::secret::MAX;
use banger_guest_api::{Failure, PutSecret, SecretName, routes, secret};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::{Request, StatusCode};
use rustix::fs::{Gid, Uid, fchown};
use rustix::mount::{MountFlags, mount};

use crate::answer::{Answer, json};
use crate::exec::{Surroundings, account};
use crate::failure::{During, refused};

/// Files are mode 0400; whose they are finds them by name.
const DIR_MODE: u32 = 0o711;
const FILE_MODE: u32 = 0o400;

/// One at a time: two that came first would both mount, and one would be hidden.
static WRITING: Mutex<()> = Mutex::new(());

/// Puts the secret that a request brings in its place.
pub(crate) async fn put(request: Request<Incoming>, surroundings: Surroundings) -> Result<Answer, Failure> {
    let name = request.uri().path().strip_prefix(routes::SECRETS);
    let name: SecretName = name
        .unwrap_or_default()
        .parse()
        .during("parse the name of the secret")?;
    let query = PutSecret::parse(request.uri().query().unwrap_or_default());
    let query = query.during("parse the owner of the secret")?;
    let value = Limited::new(request.into_body(), MAX).collect().await;
    // The value is in no message of what went wrong.
    let value = value.map_err(|_| refused(format!("the secret {name} was not received completely")))?;
    let work = move || {
        let _writing = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
        let owner = account::of(query.user.as_deref(), &surroundings)?;
        let dir = directory(&surroundings).during("prepare the memory file system of secrets")?;
        let owner = surroundings.is_real().then_some((owner.uid, owner.gid));
        write(&dir, &name, &value.to_bytes(), owner).during(format!("write the secret {name}"))
    };
    let written = tokio::task::spawn_blocking(work).await;
    written.unwrap_or_else(|_| Err(refused("writing a secret panicked")))?;
    Ok(json(StatusCode::OK, &serde_json::json!({})))
}

/// The directory, which is in memory. (A fake guest has nothing but the host's files.)
fn directory(surroundings: &Surroundings) -> io::Result<PathBuf> {
    let dir = surroundings.path(secret::DIR);
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o755).create(&dir)?;
    if surroundings.is_real() && !is_mounted(&dir)? {
        mount_memory(&dir)?;
    }
    Ok(dir)
}

fn is_mounted(dir: &Path) -> io::Result<bool> {
    let device = |path: &Path| fs::symlink_metadata(path).map(|found: Metadata| found.dev());
    let above = dir.parent().unwrap_or(dir);
    Ok(device(dir)? != device(above)?)
}

fn mount_memory(dir: &Path) -> io::Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let options = |text: String| std::ffi::CString::new(text).map_err(io::Error::from);
    // An option that a kernel does not know is refused (tmpfs(5), `noswap`).
    let unswapped = options(format!("mode=0{DIR_MODE:o},noswap"))?;
    if mount("tmpfs", dir, "tmpfs", flags, Some(&*unswapped)).is_ok() {
        return Ok(());
    }
    let plain = options(format!("mode=0{DIR_MODE:o}"))?;
    Ok(mount("ramfs", dir, "ramfs", flags, Some(&*plain))?)
}

/// Writes a file that has its name when it is whole, and replaces one of that name.
fn write(dir: &Path, name: &SecretName, value: &[u8], owner: Option<(u32, u32)>) -> io::Result<()> {
    // No secret has such a name.
    let fresh = dir.join(format!(".{name}"));
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    let mut file: File = options
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(&fresh)?;
    file.write_all(value)?;
    if let Some((uid, gid)) = owner {
        fchown(&file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
    }
    fs::rename(&fresh, dir.join(name.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_secret_is_its_readers_alone_and_replaces_an_earlier_one() {
        let surroundings = Surroundings {
            root: tempfile::tempdir().unwrap().keep(),
            ..Surroundings::default()
        };
        let dir = directory(&surroundings).unwrap();
        let name: SecretName = "TOKEN".parse().unwrap();
        for value in [&b"first"[..], b"second\n"] {
            write(&dir, &name, value, None).unwrap();
            let file = dir.join("TOKEN");
            assert_eq!(fs::read(&file).unwrap(), value);
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o7777, FILE_MODE);
        }
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
        fs::remove_dir_all(&surroundings.root).unwrap();
    }
}
