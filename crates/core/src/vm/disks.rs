//! The files of a VM: its directory with the writable disk and, for images with a work seed, a second one.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use banger_image::disk;
use banger_model::{ByteSize, VmId};
use banger_vmm::ProcessId;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use tokio::time::Instant;

use super::Error;
use super::disk_locks::Locks;

/// How long a machine that is ending may have its disks, on a busy host.
const ENDING: Duration = Duration::from_secs(1);

/// How soon it is looked again.
const AGAIN: Duration = Duration::from_millis(20);

/// The directory of a VM's durable files.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    dir: PathBuf,
}

impl Files {
    /// The files of the VM `id` below the state directory.
    pub(crate) fn of(state: &Path, id: VmId) -> Self {
        Self {
            dir: state.join("vms").join(id.to_string()),
        }
    }

    /// The directory itself.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The writable disk.
    pub(crate) fn disk(&self) -> PathBuf {
        self.dir.join("disk.ext4")
    }

    /// The work disk, mounted at `/root`.
    pub(crate) fn work(&self) -> PathBuf {
        self.dir.join("work.ext4")
    }

    /// A log of the last machine, kept when its directory went.
    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Makes the directory and its disks.
    pub(crate) fn create(&self, id: VmId, size: ByteSize, work_seed: Option<&Path>) -> Result<(), Error> {
        std::fs::create_dir_all(&self.dir)
            .map_err(|source| self.file_error("create the directory", source))?;
        let path = self.disk();
        let disk_error = |source| Error::Disk {
            what: "write",
            path: path.clone(),
            source,
        };
        let file = new_file(&path)?;
        disk::blank(&file, size, disk_uuid(id), "banger").map_err(disk_error)?;
        match work_seed {
            Some(seed) => disk::copy_sparse(seed, &self.work(), &mut |_, _| ControlFlow::Continue(()))
                .map_err(|source| Error::Store {
                    what: "the work disk",
                    source,
                }),
            None => Ok(()),
        }
    }

    /// Locks the disks: nobody else may start a machine on them, change or remove them. A machine holds the locks for as long
    /// as it lives (`LaunchSpec::locks`), so neither a daemon that does not see it nor one of a state that shares these files
    /// gets them. What is not there is not locked.
    pub(crate) fn lock(&self) -> Result<Locks, Error> {
        self.locked(FlockOperation::NonBlockingLockExclusive)
    }

    /// The same, for who may be faster than a machine that is ending: a process that was killed, and one that is between its fork
    /// and its exec, has its files for a moment longer. There is nothing that says when it has them no more.
    pub(crate) async fn lock_soon(&self) -> Result<Locks, Error> {
        let deadline = Instant::now() + ENDING;
        loop {
            match self.lock() {
                Err(Error::DiskInUse(_)) if Instant::now() < deadline => tokio::time::sleep(AGAIN).await,
                locked => return locked,
            }
        }
    }

    /// The same for who reads them, beside others who do.
    pub(crate) fn lock_to_read(&self) -> Result<Locks, Error> {
        self.locked(FlockOperation::NonBlockingLockShared)
    }

    fn locked(&self, how: FlockOperation) -> Result<Locks, Error> {
        let mut locks = Locks::default();
        for path in [self.disk(), self.work()] {
            let failed = |source: io::Error| Error::File {
                what: "lock the disk",
                path: path.clone(),
                source,
            };
            let file = match File::open(&path) {
                Ok(file) => file,
                Err(error) if is_absence(&error) => continue,
                Err(error) => return Err(failed(error)),
            };
            match flock(&file, how) {
                Ok(()) => locks.add(file.into()),
                Err(Errno::WOULDBLOCK) => return Err(Error::DiskInUse(path)),
                // A file system without locks: QEMU has its own, and nothing more can be done.
                Err(Errno::NOLCK | Errno::OPNOTSUPP | Errno::NOSYS) => {
                    tracing::warn!(path = %path.display(), "the file system does not support locks");
                }
                Err(error) => return Err(failed(error.into())),
            }
        }
        Ok(locks)
    }

    /// Whether a machine has the disks, which may be one that this daemon does not see.
    pub(crate) fn are_in_use(&self) -> bool {
        matches!(self.lock(), Err(Error::DiskInUse(_)))
    }

    /// Whether this process has the writable disk open, and so is a machine of this VM's and not of a copy of it.
    pub(crate) fn are_used_by(&self, process: &ProcessId) -> bool {
        let Ok(disk) = std::fs::metadata(self.disk()) else {
            return false;
        };
        // One that may not be looked at is ours if the disks are in use.
        process
            .has_open(disk.dev(), disk.ino())
            .unwrap_or_else(|_| process.is_alive() && self.are_in_use())
    }

    /// How large the writable disk is; nothing when it is not there.
    pub(crate) fn size(&self) -> Option<ByteSize> {
        let metadata = std::fs::metadata(self.disk()).ok()?;
        Some(ByteSize::bytes(metadata.len()))
    }

    /// Grows the writable disk to `size` bytes.
    pub(crate) fn grow(&self, size: ByteSize) -> Result<(), Error> {
        let _locks = self.lock()?;
        let path = self.disk();
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .map_err(|source| Error::File {
                what: "open the disk",
                path: path.clone(),
                source,
            })?;
        disk::grow(&file, size).map_err(|source| Error::Store {
            what: "the disk",
            source,
        })
    }

    /// Removes everything; what is already gone is no failure.
    pub(crate) fn remove(&self) -> Result<(), Error> {
        self.lock().and_then(|locks| self.remove_locked(&locks))
    }

    /// The same, after a machine that is ending.
    pub(crate) async fn remove_soon(&self) -> Result<(), Error> {
        let locks = self.lock_soon().await?;
        self.remove_locked(&locks)
    }

    fn remove_locked(&self, _: &Locks) -> Result<(), Error> {
        match std::fs::remove_dir_all(&self.dir) {
            Ok(()) => Ok(()),
            // A create that could not make the directory, since something else was in its way, has nothing to take back.
            Err(source) if is_absence(&source) => Ok(()),
            Err(source) => Err(self.file_error("remove", source)),
        }
    }

    fn file_error(&self, what: &'static str, source: io::Error) -> Error {
        Error::File {
            what,
            path: self.dir.clone(),
            source,
        }
    }
}

/// Whether nothing is there: also when what should be a directory on the way is none.
fn is_absence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

fn new_file(path: &Path) -> Result<File, Error> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .map_err(|source| Error::File {
            what: "create the disk",
            path: path.to_owned(),
            source,
        })
}

/// A version 8 UUID (RFC 9562) of the VM's id, so that disks of different VMs differ.
fn disk_uuid(id: VmId) -> [u8; 16] {
    let mut uuid = [0; 16];
    let (first, second) = uuid.split_at_mut(8);
    first.copy_from_slice(id.as_bytes());
    second.copy_from_slice(id.as_bytes());
    uuid[6] = uuid[6] & 0x0f | 0x80;
    uuid[8] = uuid[8] & 0x3f | 0x80;
    uuid
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_machine_that_is_ending_is_waited_for() {
        let state = tempfile::tempdir().unwrap();
        let id = VmId::from_bytes([8; 8]);
        let files = Files::of(state.path(), id);
        files.create(id, ByteSize::mib(64), None).unwrap();
        // As what it has started has it, until that is another program.
        let locks = files.lock().unwrap();
        let ending = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            drop(locks);
        };
        let (removed, ()) = tokio::join!(files.remove_soon(), ending);
        removed.unwrap();
        assert!(!files.dir().exists());
    }

    #[test]
    fn a_disk_has_one_holder_and_a_copy_another() {
        let state = tempfile::tempdir().unwrap();
        let id = VmId::from_bytes([7; 8]);
        let files = Files::of(state.path(), id);
        files.create(id, ByteSize::mib(64), None).unwrap();
        let locks = files.lock().unwrap();
        assert!(files.are_in_use());
        for (name, refused) in [
            ("disk.second-lock", files.lock().map(drop)),
            ("disk.copied-in-use", files.lock_to_read().map(drop)),
            ("disk.removed-in-use", files.remove()),
            ("disk.grown-in-use", files.grow(ByteSize::mib(128))),
        ] {
            assert!(matches!(refused, Err(Error::DiskInUse(_))), "{name}");
            banger_cases::refused("state", name);
        }
        let linked = state.path().join("another/vms").join(id.to_string());
        std::fs::create_dir_all(&linked).unwrap();
        std::fs::hard_link(files.disk(), linked.join("disk.ext4")).unwrap();
        let same = Files::of(&state.path().join("another"), id);
        assert!(same.are_in_use());
        banger_cases::refused("state", "disk.by-a-hard-link");
        let us = ProcessId::of(i32::try_from(std::process::id()).unwrap()).unwrap();
        assert!(files.are_used_by(&us));
        let copied = state.path().join("copy/vms").join(id.to_string());
        std::fs::create_dir_all(&copied).unwrap();
        std::fs::copy(files.disk(), copied.join("disk.ext4")).unwrap();
        let copy = Files::of(&state.path().join("copy"), id);
        assert!(!copy.are_used_by(&us) && !copy.are_in_use());
        banger_cases::refused("state", "disk.machine-of-the-original");
        drop(locks);
        assert!(!files.are_in_use());
        let readers = [files.lock_to_read().unwrap(), files.lock_to_read().unwrap()];
        assert!(matches!(files.lock(), Err(Error::DiskInUse(_))));
        banger_cases::refused("state", "disk.started-while-copied");
        drop(readers);
        files.remove().unwrap();
    }
}
