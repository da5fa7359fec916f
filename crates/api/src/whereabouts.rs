//! Where the daemon of a database is: the lock beside the database, and in it the directory of the daemon's sockets.
//!
//! The environment of a client says where the state is, but not how the daemon's environment was: a daemon of a login session
//! and a client of cron have different `XDG_RUNTIME_DIR`s. So the daemon writes its directory into the lock file, together
//! with the file's own device and inode. A copy of the file has another inode, and a copied state must not lead to the daemon of
//! the original.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Longer than any path of a directory (`PATH_MAX`) and two numbers.
const LONGEST: u64 = 8192;

/// Writes `runtime` into the lock file, which its holder has open for writing.
///
/// # Errors
/// When the file cannot be written, as on a full disk.
pub fn record(lock: &mut File, runtime: &Path) -> io::Result<()> {
    let mut text = identity(lock)?.into_bytes();
    text.extend_from_slice(runtime.as_os_str().as_bytes());
    // In place, because a name moved over it would be another lock.
    lock.seek(SeekFrom::Start(0))?;
    lock.write_all(&text)?;
    lock.set_len(text.len() as u64)
}

/// The directory of the sockets of the daemon that has, or had last, the lock at `path`. Nothing when there is no such file, it
/// says nothing, or it is a copy.
pub fn recorded(path: &Path) -> Option<PathBuf> {
    let mut file = File::open(path).ok()?;
    let mut text = Vec::new();
    (&mut file).take(LONGEST).read_to_end(&mut text).ok()?;
    let runtime = text.strip_prefix(identity(&file).ok()?.as_bytes())?;
    let runtime = PathBuf::from(OsString::from_vec(runtime.to_vec()));
    runtime.is_absolute().then_some(runtime)
}

fn identity(file: &File) -> io::Result<String> {
    let metadata = file.metadata()?;
    Ok(format!("{} {}\n", metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_leads_to_its_daemon_and_a_copy_of_it_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        let lock = dir.path().join("lock");
        assert_eq!(recorded(&lock), None);
        let mut file = File::create(&lock).unwrap();
        assert_eq!(recorded(&lock), None);
        record(&mut file, Path::new("/run/user/1000/a-long-name/banger")).unwrap();
        record(&mut file, Path::new("/run/x")).unwrap();
        assert_eq!(recorded(&lock), Some(PathBuf::from("/run/x")));
        let copy = dir.path().join("copy");
        std::fs::copy(&lock, &copy).unwrap();
        assert_eq!(recorded(&copy), None);
        banger_cases::refused("state", "lock.copied");
        std::fs::rename(&copy, &lock).unwrap();
        assert_eq!(recorded(&lock), None);
        banger_cases::refused("state", "lock.restored");
    }
}
