//! Initrds as their bytes.

use std::process::{Command, Stdio};

use super::*;

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
