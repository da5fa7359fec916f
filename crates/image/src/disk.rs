//! The writable disks of VMs.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use banger_ext4::Error;
use banger_model::ByteSize;
use banger_store::files;
use rustix::fs::{SeekFrom as Hole, seek};
use rustix::io::Errno;

use crate::told::{Progress, Told};

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
        Err(Error::Dirty { .. }) => file.set_len(size.as_bytes()).map_err(crate::Error::Lengthen),
        grown => grown.map_err(crate::Error::Grow),
    }
}

/// Copies a file with its holes, sharing its blocks where the file system can. The copy is new and its owner's alone.
///
/// # Errors
/// When a file cannot be read or written, or `progress` ends it.
pub fn copy_sparse(from: &Path, to: &Path, progress: Progress<'_>) -> Result<(), crate::Error> {
    use banger_store::OfFile;
    let source = File::open(from).of("open", from)?;
    let target = files::make_file(to)?;
    if rustix::fs::ioctl_ficlone(&target, &source).is_ok() {
        return Ok(());
    }
    let metadata = source.metadata().of("read", from)?;
    target.set_len(metadata.len()).of("set the length of", to)?;
    // Of 512 bytes, whatever the file system's blocks are (stat(2)).
    let mut told = Told::new(progress, metadata.blocks() * 512);
    let mut at = 0;
    while let Some((start, end)) = data_from(&source, at).of("read", from)? {
        copy_piece(&source, &target, start, end).of("copy to", to)?;
        told.add(end - start)?;
        at = end;
    }
    Ok(())
}

/// The most that is copied at a time.
const PIECE: u64 = 16 << 20;

fn copy_piece(source: &File, target: &File, start: u64, end: u64) -> io::Result<()> {
    (&mut &*source).seek(SeekFrom::Start(start))?;
    (&mut &*target).seek(SeekFrom::Start(start))?;
    // `io::copy` lets the kernel copy between files.
    io::copy(&mut io::Read::take(source, end - start), &mut &*target).map(drop)
}

/// Where the next piece of data begins and ends, or nothing when only a hole is left.
fn data_from(file: &File, at: u64) -> io::Result<Option<(u64, u64)>> {
    match seek(file, Hole::Data(at)) {
        Ok(start) => {
            let end = seek(file, Hole::Hole(start))?;
            Ok(Some((start, end.min(start + PIECE))))
        }
        Err(Errno::NXIO) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ops::ControlFlow;
    use std::os::unix::fs::FileExt;

    #[test]
    fn a_copy_of_a_sparse_file_is_sparse() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        let file = File::create_new(&from).unwrap();
        file.set_len(4 << 30).unwrap();
        file.write_all_at(b"data", 1 << 30).unwrap();
        let mut told = Vec::new();
        copy_sparse(&from, &to, &mut |done, total| {
            told.push((done, total));
            ControlFlow::Continue(())
        })
        .unwrap();
        assert!(matches!(told[..], [(1.., Some(1..))]), "{told:?}");
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

    #[test]
    fn a_copy_that_nobody_wants_ends() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        std::fs::write(&from, vec![1; 2 * PIECE as usize + 1]).unwrap();
        let mut told = 0;
        let copied = copy_sparse(&from, &to, &mut |_, _| {
            told += 1;
            ControlFlow::Break(())
        });
        // A file system that shares blocks has copied it before it is asked.
        match copied {
            Err(crate::Error::Cancelled(_)) => assert_eq!(told, 1),
            copied => assert!(copied.is_ok() && told == 0),
        }
    }
}
