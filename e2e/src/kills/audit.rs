//! What a daemon says, beside the processes, files and sockets that there are.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use banger_api::{Image, Kernel, Vm};
use banger_model::Phase;

use crate::{Backend, Home};

/// Compares what the daemon says with what there is.
pub(super) fn audit(home: &Home, vm: Option<&Vm>) -> Result<()> {
    let ids: BTreeSet<String> = vm.iter().map(|vm| vm.id.clone()).collect();
    let running = vm.filter(|vm| vm.phase == Phase::Running);
    let machines: BTreeSet<String> = running.iter().map(|vm| vm.id.clone()).collect();
    let stored = names(&home.path().join("state/vms"));
    ensure!(stored == ids, "disks of {stored:?}, and VMs {ids:?}");
    let sockets = names(&home.path().join("run/m"));
    ensure!(
        sockets == machines,
        "directories of machines {sockets:?}, and machines {machines:?}"
    );
    let scratch = names(&home.path().join("cache/workspaces"));
    ensure!(scratch.is_empty(), "left in the cache: {scratch:?}");
    for unfinished in ["images/tmp", "kernels/.making"] {
        let left = names(&home.path().join("data").join(unfinished));
        ensure!(left.is_empty(), "left in {unfinished}: {left:?}");
    }
    // A new daemon sweeps its stores beside what it is asked.
    let deadline = Instant::now() + Duration::from_secs(5);
    while let Err(error) = stores(home) {
        ensure!(Instant::now() < deadline, "{error:#}");
        std::thread::sleep(Duration::from_millis(50));
    }
    let guests = guests(home.path())?;
    ensure!(
        guests == machines.len(),
        "{guests} VMM processes, and {} machines",
        machines.len()
    );
    match (vm, running) {
        (_, Some(_)) => home.exec("vm", &["true"])?.ok().map(drop),
        (Some(vm), None) => {
            let disk = home.path().join("state/vms").join(&vm.id).join("disk.ext4");
            let length = std::fs::metadata(&disk).context("its disk")?.len();
            ensure!(
                length == vm.disk_size.as_bytes(),
                "a disk of {length} bytes, and the VM has {}",
                vm.disk_size
            );
            Ok(())
        }
        (None, None) => Ok(()),
    }
}

/// The stores have what is listed, and nothing else.
fn stores(home: &Home) -> Result<()> {
    let images = home.banger(["image", "list", "--json"])?.ok()?;
    let images: Vec<Image> = serde_json::from_slice(&images.stdout)?;
    let of = |path: &Path| {
        let dir = path.parent()?;
        Some(dir.file_name()?.to_string_lossy().into_owned())
    };
    let listed: BTreeSet<String> = images
        .iter()
        .flat_map(|image| &image.layers)
        .filter_map(|layer| of(layer))
        .collect();
    let stored = names(&home.path().join("data/images/g"));
    ensure!(stored == listed, "images {stored:?}, and listed are {listed:?}");
    let kernels = home.banger(["kernel", "list", "--json"])?.ok()?;
    let kernels: Vec<Kernel> = serde_json::from_slice(&kernels.stdout)?;
    let listed: BTreeSet<String> = kernels.iter().map(|kernel| kernel.name.to_string()).collect();
    let mut stored = names(&home.path().join("data/kernels"));
    stored.retain(|name| !name.starts_with('.') && name != "lock");
    ensure!(stored == listed, "kernels {stored:?}, and listed are {listed:?}");
    let mut half_made = names(&home.path().join("cache/initrd"));
    half_made.retain(|name| name.starts_with('.'));
    ensure!(half_made.is_empty(), "half made initrds {half_made:?}");
    Ok(())
}

/// What a home takes of the disk, but for the database and logs, which grow by what happened.
#[derive(Debug)]
pub(super) struct Left(BTreeMap<PathBuf, u64>);

impl Left {
    /// What there is now.
    pub(super) fn of(home: &Home) -> Result<Self> {
        let mut files = BTreeMap::new();
        for dir in ["data", "state", "cache", "run"] {
            let dir = home.path().join(dir);
            if dir.exists() {
                add(&dir, &mut files)?;
            }
        }
        files.retain(|path, _| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            // Initrds are one for each kernel, and the cache's to keep.
            let kept = ["known_hosts", "banger.db"];
            !kept.iter().any(|kept| name.starts_with(kept))
                && !name.contains(".log")
                && !name.ends_with(".img")
        });
        Ok(Self(files))
    }

    /// Fails when there is a file that was not there, or more of one.
    pub(super) fn is_no_more_than(&self, first: &Self) -> Result<()> {
        let more = self.0.iter().filter(|(path, blocks)| {
            let before = first.0.get(*path);
            before.is_none_or(|before| **blocks > before + 64)
        });
        let more: Vec<_> = more.collect();
        ensure!(more.is_empty(), "left on the disk: {more:?}");
        Ok(())
    }
}

/// The files below `dir`, and how many blocks they have.
fn add(dir: &Path, files: &mut BTreeMap<PathBuf, u64>) -> Result<()> {
    for entry in std::fs::read_dir(dir)?.flatten() {
        let path = entry.path();
        // One that goes just now is gone.
        let Ok(metadata) = entry.metadata() else { continue };
        match metadata.is_dir() {
            true => add(&path, files)?,
            false => drop(files.insert(path, metadata.blocks())),
        }
    }
    Ok(())
}

fn names(dir: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

/// How many fake VMMs work in machines' directories of this home.
fn guests(home: &Path) -> Result<usize> {
    let machines = home.join("run/m");
    let is_vmm = |pid: &str| {
        let place = Path::new("/proc").join(pid);
        let program = std::fs::read_link(place.join("exe")).unwrap_or_default();
        let line = std::fs::read_to_string(place.join("cmdline")).unwrap_or_default();
        program.ends_with(Backend::FAKE_PROGRAM)
            && line
                .split('\0')
                .nth(1)
                .is_some_and(|dir| Path::new(dir).starts_with(&machines))
    };
    let entries = std::fs::read_dir("/proc")?.flatten();
    Ok(entries
        .filter(|entry| is_vmm(&entry.file_name().to_string_lossy()))
        .count())
}
