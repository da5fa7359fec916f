//! A disk that the host has made larger than its file system.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// `EXT4_IOC_RESIZE_FS` (the kernel's `include/uapi/linux/ext4.h`), whose argument is the new number of blocks.
const EXT4_IOC_RESIZE_FS: u64 = 0x4008_6610;

/// Lets the kernel grow the ext4 file system that is mounted at `mounted` to the size of its `device`.
pub(super) fn to_device(mounted: &Path, device: &str) -> io::Result<()> {
    let disk = File::open(device)?;
    let size = (&disk).seek(SeekFrom::End(0))?;
    let (blocks, block_size) = file_system_size(&disk)?;
    let wanted = size / block_size;
    if wanted <= blocks {
        return Ok(());
    }
    let root = File::open(mounted)?;
    // SAFETY: the argument is a 64-bit number of blocks, as this request reads it.
    let result = unsafe { libc::ioctl(root.as_raw_fd(), EXT4_IOC_RESIZE_FS as _, &raw const wanted) };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// The blocks of the file system and their size, from its superblock (the kernel's `filesystems/ext4`): at 1024 bytes,
/// `s_blocks_count_lo` at 4, `s_log_block_size` at 0x18, `s_blocks_count_hi` at 0x150.
fn file_system_size(disk: &File) -> io::Result<(u64, u64)> {
    let mut superblock = [0; 1024];
    disk.read_exact_at(&mut superblock, 1024)?;
    let word = |at: usize| {
        let bytes = superblock[at..at + 4].try_into().expect("four bytes");
        u32::from_le_bytes(bytes)
    };
    let blocks = u64::from(word(0x150)) << 32 | u64::from(word(4));
    Ok((blocks, 1024 << word(0x18).min(6)))
}
