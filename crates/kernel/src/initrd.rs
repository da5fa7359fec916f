//! banger's initrd: the agent as the first process, and the modules it needs. Built once for each kernel and agent.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use banger_bounded::Exceeded;
use banger_store::{Nameless, OfFile, files};

use crate::error::Error;
use crate::record::KernelRecord;

/// The initrd of `kernel` with the agent at `agent`, from `cache_dir` when it is there.
///
/// # Errors
/// When the agent or a module cannot be read, or the cache cannot be written.
pub fn build(kernel: &KernelRecord, agent: &Path, cache_dir: &Path) -> Result<PathBuf, Error> {
    let metadata = std::fs::metadata(agent).of("find the guest agent", agent)?;
    // A kernel's id is new for every import; an agent that was built again has another time, length or inode.
    let agent_id = format!(
        "{:x}-{:x}-{:x}{:08x}",
        metadata.ino(),
        metadata.len(),
        metadata.mtime(),
        metadata.mtime_nsec()
    );
    let dir = cache_dir.join("initrd");
    let path = dir.join(format!("{}-{agent_id}.img", kernel.id));
    if path.exists() {
        return Ok(path);
    }
    files::make_dir(&dir)?;
    let making = Nameless::begin(&dir)?;
    let mut to = BufWriter::with_capacity(256 << 10, making.file());
    pack(kernel, agent, &mut to)?;
    to.flush().of("write", &path)?;
    drop(to);
    making.place(&path, true)?;
    forget_older(&dir, &path, &kernel.id);
    Ok(path)
}

/// Initrds of this kernel with earlier agents: a guest that boots from one has read it already.
fn forget_older(dir: &Path, current: &Path, kernel: &str) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path != current
            && entry
                .file_name()
                .to_string_lossy()
                .starts_with(&format!("{kernel}-"))
        {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Writes the initrd. Kernels come from elsewhere and their files have any length, so none of them is ever in memory.
fn pack(kernel: &KernelRecord, agent: &Path, to: &mut impl Write) -> Result<(), Error> {
    let mut archive = Cpio { to, at: 0, inode: 0 };
    // The kernel unpacks archives one after the other; a later file replaces an earlier one.
    if let Some(path) = &kernel.initrd {
        let (mut file, len) = opened(path)?;
        archive.content(path, &mut file, len)?;
    }
    let written = |error: io::Error| banger_store::Error::File {
        what: "write an initrd with",
        path: agent.to_owned(),
        source: error,
    };
    for dir in ["banger", "banger/modules", "dev", "proc", "run", "sys"] {
        archive.head(dir, 0o040_755, (0, 0), 0).map_err(written)?;
    }
    // Before devtmpfs is mounted, the first process has its standard streams by this.
    archive
        .head("dev/console", 0o020_600, (5, 1), 0)
        .map_err(written)?;
    archive.file("banger/agent", 0o100_755, agent)?;
    for name in &kernel.modules {
        archive.file(
            &format!("banger/modules/{name}"),
            0o100_644,
            &kernel.modules_dir.join(name),
        )?;
    }
    Ok(archive.head("TRAILER!!!", 0, (0, 0), 0).map_err(written)?)
}

fn opened(path: &Path) -> Result<(File, u64), Error> {
    let file = File::open(path).of("open", path)?;
    let len = file.metadata().of("inspect", path)?.len();
    Ok((file, len))
}

/// A `newc` archive (the kernel's `early-userspace/buffer-format.rst`) that is written.
struct Cpio<'a, W> {
    to: &'a mut W,
    at: u64,
    inode: u32,
}

impl<W: Write> Cpio<'_, W> {
    fn file(&mut self, name: &str, mode: u32, path: &Path) -> Result<(), Error> {
        let (mut file, len) = opened(path)?;
        // What the format has digits for.
        let size = u32::try_from(len).map_err(|_| Exceeded::Part {
            what: "module",
            most: u32::MAX.into(),
        })?;
        self.head(name, mode, (0, 0), size)
            .of("write the header of", path)?;
        self.content(path, &mut file, len)
    }

    /// The head of an entry, whose content follows.
    fn head(&mut self, name: &str, mode: u32, device: (u32, u32), size: u32) -> io::Result<()> {
        self.inode += 1;
        let name_size = u32::try_from(name.len() + 1).map_err(io::Error::other)?;
        let fields = [
            self.inode, mode, 0, 0, 1, 0, size, 0, 0, device.0, device.1, name_size, 0,
        ];
        let mut head = b"070701".to_vec();
        for field in fields {
            head.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        head.extend_from_slice(name.as_bytes());
        head.push(0);
        self.write(&head)?;
        self.pad()
    }

    /// Exactly `len` bytes: a file that shrinks meanwhile would shift all that follows.
    fn content(&mut self, path: &Path, from: &mut File, len: u64) -> Result<(), Error> {
        let copied = io::copy(&mut from.take(len), self.to).of("copy into an initrd", path)?;
        if copied != len {
            return Ok(Err(io::Error::from(io::ErrorKind::UnexpectedEof)).of("read", path)?);
        }
        self.at += len;
        Ok(self.pad().of("pad", path)?)
    }

    fn pad(&mut self) -> io::Result<()> {
        let len = self.at.next_multiple_of(4) - self.at;
        self.write(&[0; 3][..len as usize])
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.at += bytes.len() as u64;
        self.to.write_all(bytes)
    }
}

#[cfg(test)]
mod tests;
