//! A host's disk that is full: a state that is shown, and left again.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use banger_e2e::{Backend, Home, Image};

use crate::{Scenario, on_the_host};

pub(crate) const SCENARIOS: &[Scenario] =
    &[on_the_host("a_full_host_disk_is_said_and_left_again", a_full_host_disk).by_root()];

/// A small file system, for as long as this lives.
struct Mounted(PathBuf);

impl Mounted {
    fn at(dir: &Path, size: &str) -> Result<Self> {
        std::fs::create_dir_all(dir)?;
        let options = format!("size={size},mode=700");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "none"])
            .arg(dir)
            .status()?;
        ensure!(mounted.success(), "no file system was mounted");
        Ok(Self(dir.to_owned()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Lazily: a scenario that failed has a daemon there yet.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn until_phase(home: &Home, phase: &str) -> Result<banger_api::Vm> {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let vm = home.vm("vm")?;
        if vm.phase.to_string() == phase {
            return Ok(vm);
        }
        ensure!(Instant::now() < deadline, "it is {} and not {phase}", vm.phase);
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// As with Firecracker, the machine does not stop by itself: it is halted when it writes and there is nearly no space.
fn a_full_host_disk(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.banger(["daemon", "stop"])?.ok()?;
    std::fs::remove_dir_all(home.path().join("state"))?;
    let mounted = Mounted::at(&home.path().join("state"), "32m")?;
    home.create(backend, Image::Busybox, "vm", &["--disk-size", "64M"])?;
    let id = home.vm("vm")?.id;
    let disk = home.path().join("state/vms").join(id).join("disk.ext4");
    let ballast = home.path().join("state/ballast");
    // As full as it gets, the reserve of the database apart.
    let mut file = std::fs::File::create(&ballast)?;
    while std::io::Write::write_all(&mut file, &[1; 64 << 10]).is_ok() {}
    drop(file);
    // What is written over takes no space, and is what a guest's write is to who watches.
    let first = std::fs::read(&disk)?[1024..1025].to_vec();
    let writable = std::fs::OpenOptions::new().write(true).open(&disk)?;
    std::os::unix::fs::FileExt::write_all_at(&writable, &first, 1024)?;
    let vm = until_phase(&home, "paused")?;
    ensure!(vm.paused.as_deref() == Some("host disk full"), "{:?}", vm.paused);
    let listed = home.banger(["vm", "list"])?.ok()?.text();
    ensure!(listed.contains("paused: host disk full"), "{listed}");
    home.exec("vm", &["true"])?
        .exited(125)?
        .saying("is paused: host disk full")?;
    home.banger(["vm", "stop", "vm"])?
        .exited(4)?
        .saying("is paused: host disk full")?;
    std::fs::remove_file(&ballast)?;
    until_phase(&home, "running")?;
    home.exec("vm", &["true"])?.ok()?;
    // And a VM is deleted while there is no space at all.
    let mut file = std::fs::File::create(&ballast)?;
    while std::io::Write::write_all(&mut file, &[1; 4096]).is_ok() {}
    home.banger(["vm", "delete", "-f", "vm"])?.ok()?;
    drop(file);
    std::fs::remove_file(&ballast)?;
    home.end()?;
    drop(mounted);
    Ok(())
}
