//! The place of a daemon: the lock that makes it the only one of its database, and the directory of its sockets.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use banger_api::{Paths, whereabouts};
use rustix::fs::{FlockOperation, OFlags, flock};

/// The daemon cannot have its place.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A directory, lock or socket.
    #[error("failed to {what} {}", .path.display())]
    File {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// Another daemon has this state.
    #[error("another bangerd is already running")]
    Running,
    /// A directory is another user's.
    #[error("{} belongs to user {owner}, but bangerd runs as user {us}", .path.display())]
    Another { path: PathBuf, owner: u32, us: u32 },
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::File { what, path, source }
}

/// The lock of this daemon. It goes with the process.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
    /// Those that earlier versions take, where there are such.
    _former: Vec<File>,
}

impl Lock {
    /// Takes the lock beside the database.
    pub(crate) fn take(paths: &Paths) -> Result<Self, Error> {
        let path = paths.lock();
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(&path)
            .map_err(failed("open the lock", &path))?;
        lock(&file, &path)?;
        let mut former = Vec::new();
        for runtime in std::iter::once(&paths.runtime).chain(&paths.former_runtime) {
            let path = runtime.join("bangerd.lock");
            let Ok(file) = OpenOptions::new().write(true).open(&path) else {
                continue;
            };
            lock(&file, &path)?;
            former.push(file);
        }
        Ok(Self {
            file,
            _former: former,
        })
    }

    /// Says beside the database where this daemon listens.
    pub(crate) fn lead_to(&mut self, runtime: &Path) -> Result<(), Error> {
        whereabouts::record(&mut self.file, runtime).map_err(failed("write to the lock in", runtime))
    }
}

fn lock(file: &File, path: &Path) -> Result<(), Error> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(Error::Running),
        Err(error) => Err(failed("acquire the lock", path)(error.into())),
    }
}

/// Makes a directory that is this user's alone, or sees that it is this user's.
pub(crate) fn own(dir: &Path) -> Result<(), Error> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(failed("create the directory", dir))?;
    let metadata = std::fs::metadata(dir).map_err(failed("inspect the directory", dir))?;
    let us = rustix::process::geteuid().as_raw();
    if metadata.uid() != us {
        return Err(Error::Another {
            path: dir.to_owned(),
            owner: metadata.uid(),
            us,
        });
    }
    Ok(())
}

/// Makes the directory of sockets, which nobody else may enter, whatever it was before.
pub(crate) fn own_alone(dir: &Path) -> Result<(), Error> {
    own(dir)?;
    let metadata = std::fs::metadata(dir).map_err(failed("inspect the directory", dir))?;
    if metadata.permissions().mode() & 0o077 != 0 {
        tracing::warn!(dir = %dir.display(), "other users could enter the directory; its mode was changed to 0700");
        let alone = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(dir, alone).map_err(failed("set the mode of the directory", dir))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn home() -> (tempfile::TempDir, Paths) {
        let home = tempfile::tempdir().unwrap();
        let paths = Paths::below(home.path());
        own(&paths.state).unwrap();
        (home, paths)
    }

    #[test]
    fn one_database_has_one_daemon_however_it_is_called() {
        let (home, paths) = home();
        let held = Lock::take(&paths).unwrap();
        let linked = home.path().join("another-name");
        symlink(home.path(), &linked).unwrap();
        let other_home = tempfile::tempdir().unwrap();
        symlink(&paths.state, other_home.path().join("state")).unwrap();
        let another_session = Paths {
            runtime: home.path().join("runtime-of-cron"),
            ..paths.clone()
        };
        let cases = [
            ("same-again", paths.clone()),
            ("home-by-a-link", Paths::below(&linked)),
            ("home-with-dots", Paths::below(&home.path().join("state/.."))),
            ("state-by-a-link", Paths::below(other_home.path())),
            ("runtime-elsewhere", another_session),
        ];
        for (name, paths) in cases {
            assert!(matches!(Lock::take(&paths), Err(Error::Running)), "{name}");
            banger_cases::refused("state", &format!("second-daemon.{name}"));
        }
        drop(held);
        Lock::take(&paths).unwrap();
    }

    #[test]
    fn an_earlier_versions_daemon_is_another_one() {
        let (home, mut paths) = home();
        let former = home.path().join("former");
        own(&former).unwrap();
        let file = File::create(former.join("bangerd.lock")).unwrap();
        paths.former_runtime = Some(former);
        flock(&file, FlockOperation::NonBlockingLockExclusive).unwrap();
        assert!(matches!(Lock::take(&paths), Err(Error::Running)));
        banger_cases::refused("state", "second-daemon.earlier-version");
    }

    #[test]
    fn a_lock_that_is_a_link_is_refused() {
        let (home, paths) = home();
        let victim = home.path().join("victim");
        std::fs::write(&victim, "kept").unwrap();
        symlink(&victim, paths.lock()).unwrap();
        assert!(Lock::take(&paths).is_err());
        assert_eq!(std::fs::read_to_string(victim).unwrap(), "kept");
        banger_cases::refused("state", "lock.is-a-link");
    }

    #[test]
    fn a_directory_of_sockets_is_closed_to_others() {
        let home = tempfile::tempdir().unwrap();
        let open = home.path().join("open");
        std::fs::create_dir(&open).unwrap();
        for mode in [0o755, 0o777, 0o710, 0o701] {
            std::fs::set_permissions(&open, std::fs::Permissions::from_mode(mode)).unwrap();
            own_alone(&open).unwrap();
            let now = std::fs::metadata(&open).unwrap().permissions().mode();
            assert_eq!(now & 0o7777, 0o700);
            banger_cases::refused("state", &format!("runtime.mode-{mode:o}"));
        }
    }
}
