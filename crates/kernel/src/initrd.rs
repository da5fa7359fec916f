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
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    fn kernel(dir: &Path) -> KernelRecord {
        let modules = dir.join("modules");
        std::fs::create_dir(&modules).unwrap();
        std::fs::write(modules.join("00-a.ko"), "module").unwrap();
        std::fs::write(dir.join("own"), "xyz").unwrap();
        KernelRecord {
            name: "k".parse().unwrap(),
            id: "0123".to_owned(),
            version: String::new(),
            source: String::new(),
            vmlinux: PathBuf::new(),
            vmlinuz: None,
            initrd: None,
            modules: vec!["00-a.ko".to_owned()],
            modules_dir: modules,
            append: Vec::new(),
            max_vcpus: None,
            supports: Vec::new(),
            artifact: None,
            bytes: 0,
            created: 0,
        }
    }

    #[test]
    fn cpio_lists_what_was_packed() {
        let dir = tempfile::tempdir().unwrap();
        let agent = dir.path().join("agent");
        std::fs::write(&agent, "agent!").unwrap();
        let path = build(&kernel(dir.path()), &agent, dir.path()).unwrap();
        let listed = Command::new("cpio")
            .args(["-t", "--quiet"])
            .stdin(Stdio::from(std::fs::File::open(&path).unwrap()))
            .output()
            .unwrap();
        let listed = String::from_utf8(listed.stdout).unwrap();
        assert_eq!(
            listed.lines().collect::<Vec<_>>(),
            [
                "banger",
                "banger/modules",
                "dev",
                "proc",
                "run",
                "sys",
                "dev/console",
                "banger/agent",
                "banger/modules/00-a.ko"
            ]
        );
        assert_eq!(
            build(&kernel_again(dir.path()), &agent, dir.path()).unwrap(),
            path
        );
    }

    fn kernel_again(dir: &Path) -> KernelRecord {
        std::fs::remove_dir_all(dir.join("modules")).unwrap();
        kernel(dir)
    }

    #[test]
    fn a_new_agent_gets_a_new_initrd_and_the_old_one_goes() {
        let dir = tempfile::tempdir().unwrap();
        let agent = dir.path().join("agent");
        let kernel = kernel(dir.path());
        std::fs::write(&agent, "one").unwrap();
        let first = build(&kernel, &agent, dir.path()).unwrap();
        std::fs::write(&agent, "another").unwrap();
        let second = build(&kernel, &agent, dir.path()).unwrap();
        assert!(first != second && !first.exists() && second.exists());
    }

    #[test]
    fn a_kernels_own_initrd_comes_first_and_aligned() {
        let dir = tempfile::tempdir().unwrap();
        let agent = dir.path().join("agent");
        std::fs::write(&agent, "agent!").unwrap();
        let kernel = KernelRecord {
            initrd: Some(dir.path().join("own")),
            ..kernel(dir.path())
        };
        let bytes = std::fs::read(build(&kernel, &agent, dir.path()).unwrap()).unwrap();
        assert!(bytes.starts_with(b"xyz\x00070701"));
    }

    /// Takes some bytes and no more, as a full disk does.
    struct Full(usize);

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.0);
            self.0 -= taken;
            match taken {
                0 => Err(io::ErrorKind::StorageFull.into()),
                taken => Ok(taken),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn no_file_of_a_kernel_is_ever_in_memory() {
        let dir = tempfile::tempdir().unwrap();
        let agent = dir.path().join("agent");
        std::fs::write(&agent, "agent!").unwrap();
        let honest = kernel(dir.path());
        let large = dir.path().join("large");
        // More than any host has memory.
        File::create(&large).unwrap().set_len(8 << 40).unwrap();
        let initrd = KernelRecord {
            initrd: Some(large.clone()),
            ..honest.clone()
        };
        let refused = pack(&initrd, &agent, &mut Full(1 << 20)).unwrap_err();
        let full = |error: &Error| matches!(error, Error::Store(banger_store::Error::File { source, .. }) if source.kind() == io::ErrorKind::StorageFull);
        assert!(full(&refused), "{refused:?}");
        banger_cases::refused("budget", "kernel.huge-initrd");
        let module = honest.modules_dir.join("00-a.ko");
        File::create(&module).unwrap().set_len(3 << 30).unwrap();
        let refused = pack(&honest, &agent, &mut Full(1 << 20)).unwrap_err();
        assert!(full(&refused), "{refused:?}");
        File::create(&module).unwrap().set_len(8 << 40).unwrap();
        let refused = pack(&honest, &agent, &mut Full(1 << 20)).unwrap_err();
        assert!(matches!(refused, Error::Exceeded(_)), "{refused:?}");
        banger_cases::refused("budget", "kernel.huge-module");
        // What could not be written leaves nothing.
        std::fs::remove_file(&module).unwrap();
        build(&honest, &agent, dir.path()).unwrap_err();
        assert_eq!(std::fs::read_dir(dir.path().join("initrd")).unwrap().count(), 0);
    }
}
