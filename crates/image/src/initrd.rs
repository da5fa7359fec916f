//! banger's initrd: the agent as the first process, and the modules it needs. Built once for each kernel and agent.

use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::files::{self, OfFile};
use crate::{Error, KernelRecord};

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
    let bytes = pack(kernel, agent)?;
    let making = dir.join(format!(".{}.making", files::random_id()?));
    files::make_file(&making)?
        .write_all(&bytes)
        .of("write", &making)?;
    std::fs::rename(&making, &path).of("put in place", &path)?;
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

fn pack(kernel: &KernelRecord, agent: &Path) -> Result<Vec<u8>, Error> {
    // The kernel unpacks archives one after the other; a later file replaces an earlier one.
    let mut bytes = match &kernel.initrd {
        Some(path) => std::fs::read(path).of("read", path)?,
        None => Vec::new(),
    };
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    let mut archive = Cpio { bytes, inode: 0 };
    for dir in ["banger", "banger/modules", "dev", "proc", "run", "sys"] {
        archive.entry(dir, 0o040_755, (0, 0), &[]);
    }
    // Before devtmpfs is mounted, the first process has its standard streams by this.
    archive.entry("dev/console", 0o020_600, (5, 1), &[]);
    let content = std::fs::read(agent).of("read the guest agent", agent)?;
    archive.entry("banger/agent", 0o100_755, (0, 0), &content);
    for name in &kernel.modules {
        let path = kernel.modules_dir.join(name);
        let content = std::fs::read(&path).of("read", &path)?;
        archive.entry(&format!("banger/modules/{name}"), 0o100_644, (0, 0), &content);
    }
    archive.entry("TRAILER!!!", 0, (0, 0), &[]);
    Ok(archive.bytes)
}

/// A `newc` archive (the kernel's `early-userspace/buffer-format.rst`).
struct Cpio {
    bytes: Vec<u8>,
    inode: u32,
}

impl Cpio {
    fn entry(&mut self, name: &str, mode: u32, device: (u32, u32), content: &[u8]) {
        self.inode += 1;
        let (size, name_size) = (content.len(), name.len() + 1);
        let fields = [
            self.inode,
            mode,
            0,
            0,
            1,
            0,
            u32::try_from(size).expect("what goes into an initrd is far below 4 GiB"),
            0,
            0,
            device.0,
            device.1,
            u32::try_from(name_size).expect("our own names are short"),
            0,
        ];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
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
}
