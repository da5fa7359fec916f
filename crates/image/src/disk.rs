//! The writable disks of VMs.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::path::Path;

use banger_ext4::Error;
use banger_model::ByteSize;
use rustix::fs::{SeekFrom as Hole, seek};
use rustix::io::Errno;

use crate::files;

/// Makes an empty, sparse, writable file system of `size` in an empty file.
///
/// # Errors
/// As [`banger_ext4::blank_disk`].
pub fn blank(file: &File, size: ByteSize, uuid: [u8; 16], label: &str) -> Result<(), Error> {
    banger_ext4::blank_disk(file, size.as_bytes(), uuid, label)
}

/// Grows a file system made by [`blank`] and its file to `size`. Nothing may have it mounted. One whose journal is not
/// empty, because its guest was killed or has an init that leaves it mounted, only gets the room: the guest's kernel
/// grows it when the agent mounts it the next time.
///
/// # Errors
/// As [`banger_ext4::grow()`], or when the file cannot grow.
pub fn grow(file: &File, size: ByteSize) -> Result<(), crate::Error> {
    match banger_ext4::grow(file, size.as_bytes()) {
        Err(Error::Dirty { .. }) => file
            .set_len(size.as_bytes())
            .map_err(|source| crate::Error::Grow { source }),
        grown => grown.map_err(|source| crate::Error::Image { what: "grow", source }),
    }
}

/// Copies a file with its holes, sharing its blocks where the file system can. The copy is new and its owner's alone.
///
/// # Errors
/// When a file cannot be read or written.
pub fn copy_sparse(from: &Path, to: &Path) -> Result<(), crate::Error> {
    use files::OfFile;
    let source = File::open(from).of("open", from)?;
    let target = files::make_file(to)?;
    if rustix::fs::ioctl_ficlone(&target, &source).is_ok() {
        return Ok(());
    }
    copy_data(&source, &target).of("copy to", to)
}

fn copy_data(source: &File, target: &File) -> io::Result<()> {
    let len = source.metadata()?.len();
    target.set_len(len)?;
    let mut at = 0;
    while let Some(start) = data_from(source, at)? {
        let end = seek(source, Hole::Hole(start))?;
        (&mut &*source).seek(SeekFrom::Start(start))?;
        (&mut &*target).seek(SeekFrom::Start(start))?;
        // `io::copy` lets the kernel copy between files.
        io::copy(&mut io::Read::take(source, end - start), &mut &*target)?;
        at = end;
    }
    Ok(())
}

/// Where the next data begins, or nothing when only a hole is left.
fn data_from(file: &File, at: u64) -> io::Result<Option<u64>> {
    match seek(file, Hole::Data(at)) {
        Ok(start) => Ok(Some(start)),
        Err(Errno::NXIO) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{FileExt, MetadataExt};

    #[test]
    fn a_copy_of_a_sparse_file_is_sparse() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        let file = File::create_new(&from).unwrap();
        file.set_len(4 << 30).unwrap();
        file.write_all_at(b"data", 1 << 30).unwrap();
        copy_sparse(&from, &to).unwrap();
        let metadata = std::fs::metadata(&to).unwrap();
        assert_eq!(metadata.len(), 4 << 30);
        assert!(metadata.blocks() * 512 < 1 << 20);
        let mut bytes = [0; 4];
        File::open(&to)
            .unwrap()
            .read_exact_at(&mut bytes, 1 << 30)
            .unwrap();
        assert_eq!(&bytes, b"data");
    }
}
