//! From a kernel that was found to one of the store: unpacked, checked, with the modules that a guest needs.

use std::io::Read as _;
use std::path::Path;

use banger_bounded::Exceeded;
use banger_model::KernelName;
use banger_store::{OfFile, files};

use crate::config::{self, Config};
use crate::error::Error;
use crate::found::Found;
use crate::record::{KernelRecord, UNCHECKED, VIRTIO_NET, bytes_in, now};
use crate::{modules, vmlinux};

/// How a kernel is imported.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KernelOptions {
    /// Boot arguments that it needs.
    pub append: Vec<String>,
    /// The most virtual CPUs it takes.
    pub max_vcpus: Option<u32>,
    /// Replace a kernel of the same name.
    pub force: bool,
}

/// Puts the kernel's files into `dir` and tells what they are once that is `place`.
pub(crate) fn build(
    name: &KernelName,
    id: String,
    found: &Found,
    options: &KernelOptions,
    dir: &Path,
    place: &Path,
    note: &mut dyn FnMut(&str),
) -> Result<KernelRecord, Error> {
    let elf = vmlinux::read(&found.kernel)?;
    if elf.compressed {
        copy_at_most("kernel", vmlinux::LARGEST, &found.kernel, &dir.join("vmlinuz"))?;
    }
    files::replace(&dir.join("vmlinux"), &elf.bytes)?;
    if let Some(initrd) = &found.initrd {
        copy_at_most("initrd", LARGEST_INITRD, initrd, &dir.join("initrd"))?;
    }
    let known = match &found.config {
        Some(path) => Some(std::fs::read_to_string(path).of("read", path)?),
        None => vmlinux::embedded_config(&elf.bytes),
    };
    let config = known.as_deref().map(Config::parse);
    let wanted = config::wanted(config.as_ref(), found.modules.is_some())?;
    let mut supports = vmlinux::supports(&elf.bytes);
    match &config {
        Some(config) => supports.extend(config.supports()),
        None => {
            note(
                "the configuration of this kernel is unknown: whether it has the required options shows at boot",
            );
            supports.push(UNCHECKED.to_owned());
        }
    }
    let modules = modules::take(&wanted, found.modules.as_deref(), &dir.join("modules"))?;
    if config::drives_network(config.as_ref(), &modules) {
        supports.push(VIRTIO_NET.to_owned());
    }
    let file = |name: &str| dir.join(name).exists().then(|| place.join(name));
    Ok(KernelRecord {
        name: name.clone(),
        id,
        version: elf.version,
        source: found.words.clone(),
        vmlinux: place.join("vmlinux"),
        vmlinuz: file("vmlinuz"),
        initrd: file("initrd"),
        modules,
        modules_dir: place.join("modules"),
        append: options.append.clone(),
        max_vcpus: options.max_vcpus,
        supports,
        artifact: None,
        bytes: bytes_in(dir),
        created: now(),
    })
}

/// The most bytes of a kernel's own initrd: it is unpacked into the guest's memory.
const LARGEST_INITRD: u64 = 1 << 30;

fn copy_at_most(what: &'static str, most: u64, from: &Path, to: &Path) -> Result<(), Error> {
    let mut source = std::fs::File::open(from).of("open", from)?;
    if source.metadata().of("inspect", from)?.len() > most {
        return Err(Exceeded::Part { what, most }.into());
    }
    let mut target = files::make_file(to)?;
    std::io::copy(&mut source.by_ref().take(most), &mut target).of("copy to", to)?;
    Ok(target.sync_all().of("sync", to)?)
}
