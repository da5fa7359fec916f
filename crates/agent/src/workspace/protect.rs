//! Making a workspace read-only: a bind mount of it on itself, which every program of the guest meets.
//!
//! Root does it to a directory that is another user's, who may put links wherever a name is expected. So the directory is held, it
//! has to be one that was placed, and nothing below it is reached through a link.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use banger_guest_api::Failure;
use banger_hostfs::{Dir, Error, Kind};
use rustix::fs::{StatVfsMountFlags, fstatvfs};
use rustix::mount::{MountFlags, UnmountFlags, mount_bind, mount_remount, unmount};

use super::OWN_DIR;
use crate::failure::{During, refused};

/// Tells a mount of ours from one that somebody else made.
const MARK: &str = "readonly";

/// Makes the workspace at `base` read-only, or writable again.
pub(crate) fn protect(base: PathBuf, readonly: bool) -> Result<(), Failure> {
    let changed = Place::of(&base).and_then(|place| match readonly {
        true => place.close(),
        false => place.open(),
    });
    let what = if readonly { "read-only" } else { "writable" };
    changed.during(format!("make {} {what}", base.display()))
}

/// Only the fake guest has no mounts of its own.
pub(crate) fn without_mounts() -> Failure {
    refused("this guest cannot make a workspace read-only: it has no mount namespace of its own")
}

/// Where a workspace is, by the directory that it is in.
struct Place {
    above: Dir,
    name: OsString,
}

impl Place {
    fn of(base: &Path) -> io::Result<Self> {
        match Dir::around(base).map_err(of_system)? {
            Some((above, name)) => Ok(Self { above, name }),
            None => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    /// The workspace as programs see it now: what is mounted on it, if something is.
    fn now(&self) -> io::Result<Dir> {
        self.above.dir(&self.name).map_err(of_system)
    }

    fn close(&self) -> io::Result<()> {
        let workspace = self.now()?;
        if is_readonly(&workspace)? {
            return Ok(());
        }
        let own = workspace.dir(OWN_DIR).map_err(of_system)?;
        if !is_file(&own, super::manifest::NAME)? {
            return Err(io::Error::other("no repository was placed there"));
        }
        // Whatever has the name is replaced, and not written through.
        let mark = own.fresh().map_err(of_system)?;
        mark.name(OsStr::new(MARK), false).map_err(of_system)?;
        mount_bind(workspace.itself(), workspace.itself())?;
        let mounted = self.now()?;
        Ok(mount_remount(
            mounted.itself(),
            MountFlags::BIND | MountFlags::RDONLY,
            "",
        )?)
    }

    fn open(&self) -> io::Result<()> {
        let workspace = match self.now() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            workspace => workspace?,
        };
        let own = match workspace.dir(OWN_DIR) {
            Err(error) if error.is_absent() => return Ok(()),
            own => own.map_err(of_system)?,
        };
        if !is_file(&own, MARK)? {
            return Ok(());
        }
        if is_readonly(&workspace)? {
            unmount(workspace.itself(), UnmountFlags::DETACH)?;
        }
        let own = self.now()?.dir(OWN_DIR).map_err(of_system)?;
        own.unlink(MARK).map_err(of_system)
    }
}

fn is_readonly(dir: &Dir) -> io::Result<bool> {
    Ok(fstatvfs(dir)?.f_flag.contains(StatVfsMountFlags::RDONLY))
}

fn is_file(dir: &Dir, name: &str) -> io::Result<bool> {
    Ok(dir.kind(name).map_err(of_system)? == Some(Kind::File))
}

/// What failed, without the words that the failure has anyway.
fn of_system(error: Error) -> io::Error {
    match error {
        Error::File { source, .. } => source,
        error => io::Error::other(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    /// Runs this in a mount namespace of its own, as whose root it has mounts.
    fn with_mounts(test: impl FnOnce() + Send) {
        std::thread::scope(|scope| {
            let apart = scope.spawn(|| {
                // SAFETY: of what this thread shares, it leaves mounts and its working directory alone.
                unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNS) }.unwrap();
                let private =
                    rustix::mount::MountPropagationFlags::PRIVATE | rustix::mount::MountPropagationFlags::REC;
                rustix::mount::mount_change("/", private).unwrap();
                test();
            });
            apart.join().unwrap();
        });
    }

    fn placed(at: &Path) {
        fs::create_dir_all(at.join(OWN_DIR)).unwrap();
        fs::write(at.join(OWN_DIR).join("placed"), "").unwrap();
    }

    /// Whoever runs these is root: only root can mount. `make test` runs them where it is.
    mod needs_root {
        use super::*;

        #[test]
        #[ignore = "needs root"]
        fn a_workspace_is_closed_and_opened_again() {
            with_mounts(|| {
                let dir = tempfile::tempdir().unwrap();
                let base = dir.path().join("repo");
                placed(&base);
                for _ in 0..2 {
                    protect(base.clone(), true).unwrap();
                    assert_eq!(
                        fs::write(base.join("a"), "").unwrap_err().kind(),
                        io::ErrorKind::ReadOnlyFilesystem
                    );
                    protect(base.clone(), true).unwrap();
                    protect(base.clone(), false).unwrap();
                    fs::write(base.join("a"), "").unwrap();
                    protect(base.clone(), false).unwrap();
                }
                assert!(!base.join(OWN_DIR).join(MARK).exists());
                protect(dir.path().join("none"), false).unwrap();
                protect(dir.path().join("none"), true).unwrap_err();
            });
        }

        #[test]
        #[ignore = "needs root"]
        fn no_link_of_the_users_leads_root_anywhere() {
            with_mounts(|| {
                let dir = tempfile::tempdir().unwrap();
                let (roots, base) = (dir.path().join("roots"), dir.path().join("repo"));
                fs::create_dir(&roots).unwrap();
                fs::write(roots.join("file"), "root's").unwrap();
                let untouched = |case: &str| {
                    assert_eq!(fs::read(roots.join("file")).unwrap(), b"root's", "{case}");
                    assert_eq!(fs::read_dir(&roots).unwrap().count(), 1, "{case}");
                    fs::write(roots.join("file"), "root's").unwrap();
                    banger_cases::refused("guest-users", &format!("workspace.protect-{case}"));
                };
                // The mark is a link: it is replaced.
                placed(&base);
                symlink(roots.join("file"), base.join(OWN_DIR).join(MARK)).unwrap();
                protect(base.clone(), true).unwrap();
                protect(base.clone(), false).unwrap();
                untouched("mark-is-a-link");
                // The directory of the mark is one.
                for part in [".git/banger", ".git"] {
                    fs::remove_dir_all(base.join(part)).unwrap();
                    symlink(&roots, base.join(part)).unwrap();
                    for readonly in [true, false] {
                        protect(base.clone(), readonly).unwrap_err();
                    }
                    fs::remove_file(base.join(part)).unwrap();
                    placed(&base);
                    untouched(&part.replace('/', "-"));
                }
                // The workspace itself is one, to where nothing was placed and to where something was.
                let link = dir.path().join("link");
                symlink(&roots, &link).unwrap();
                protect(link.clone(), true).unwrap_err();
                fs::remove_file(&link).unwrap();
                symlink(&base, &link).unwrap();
                protect(link, true).unwrap_err();
                fs::write(base.join("a"), "").unwrap();
                untouched("workspace-is-a-link");
                // A path that was never placed is no workspace.
                protect(roots.clone(), true).unwrap_err();
                untouched("nothing-placed");
            });
        }
    }
}
