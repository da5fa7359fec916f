//! The files of a VM: its directory with the writable disk and, for images with a work seed, a second one.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use banger_image::disk;
use banger_model::{ByteSize, VmId};

use super::Error;

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
        std::fs::create_dir_all(&self.dir).map_err(|source| self.file_error("make the directory", source))?;
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

    /// Grows the writable disk to `size` bytes.
    pub(crate) fn grow(&self, size: ByteSize) -> Result<(), Error> {
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
        match std::fs::remove_dir_all(&self.dir) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(self.file_error("remove", source)),
            _ => Ok(()),
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

fn new_file(path: &Path) -> Result<File, Error> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .map_err(|source| Error::File {
            what: "make the disk",
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
