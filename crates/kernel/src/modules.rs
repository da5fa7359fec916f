//! Modules: what they depend on, in which order they load, and their plain form.
//!
//! Where there is a `modules.dep` (depmod(8)), it tells. A package that was only unpacked has none; then the modules
//! themselves do, in their `.modinfo` section.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};

use banger_bounded::{Budget, Checked, decompressed, read_whole};
use banger_store::{OfFile, files};

use crate::config::{WELCOME, Wanted};
use crate::error::Error;

/// The most bytes of a module.
const LARGEST: u64 = 256 << 20;

/// Puts the wanted modules with all that they depend on into `into`, numbered in load order, and gives their names.
pub(crate) fn take(wanted: &[Wanted], modules: Option<&Path>, into: &Path) -> Result<Vec<String>, Error> {
    let missing = |wanted: &Wanted| Error::NoModule {
        option: wanted.option,
        module: wanted.module.to_owned(),
    };
    let Some(dir) = modules else {
        return wanted.first().map_or(Ok(Vec::new()), |first| Err(missing(first)));
    };
    let mut resolver = Resolver::new(dir)?;
    for name in WELCOME.iter().filter(|name| name.starts_with("crc32c")) {
        resolver.add(name)?;
    }
    for wanted in wanted {
        if !resolver.add(wanted.module)? {
            return Err(missing(wanted));
        }
    }
    for name in WELCOME {
        resolver.add(name)?;
    }
    files::make_dir(into)?;
    let mut names = Vec::new();
    for (index, path) in resolver.order.iter().enumerate() {
        let name = format!("{index:02}-{}.ko", stem(path));
        files::replace(&into.join(&name), &plain(path)?)?;
        names.push(name);
    }
    Ok(names)
}

struct Resolver {
    built_in: BTreeSet<String>,
    /// Where each module is.
    paths: BTreeMap<String, PathBuf>,
    /// What `modules.dep` says, if there is one: names, to be loaded before.
    known: BTreeMap<String, Vec<String>>,
    taken: BTreeSet<String>,
    order: Vec<PathBuf>,
}

impl Resolver {
    fn new(dir: &Path) -> Result<Self, Error> {
        let read = |name: &str| std::fs::read_to_string(dir.join(name)).unwrap_or_default();
        let built_in = read("modules.builtin")
            .lines()
            .map(|line| stem(Path::new(line)))
            .collect();
        let mut paths = BTreeMap::new();
        find_all(dir, &mut paths)?;
        Ok(Self {
            built_in,
            paths,
            known: read("modules.dep").lines().filter_map(dependencies).collect(),
            taken: BTreeSet::new(),
            order: Vec::new(),
        })
    }

    /// Takes a module after what it depends on. False when it is not there; one that is built in needs nothing.
    fn add(&mut self, name: &str) -> Result<bool, Error> {
        let name = name.replace('-', "_");
        if self.built_in.contains(&name) || self.taken.contains(&name) {
            return Ok(true);
        }
        let Some(path) = self.paths.get(&name).cloned() else {
            return Ok(false);
        };
        // Before its dependencies are looked at, so that a circle ends.
        self.taken.insert(name.clone());
        let before = match self.known.get(&name) {
            Some(known) => known.clone(),
            None => own_dependencies(&plain(&path)?),
        };
        for dependency in before {
            self.add(&dependency)?;
        }
        self.order.push(path);
        Ok(true)
    }
}

/// `kernel/fs/ext4/ext4.ko.xz: kernel/fs/jbd2/jbd2.ko.xz …`, of which the last is loaded first.
fn dependencies(line: &str) -> Option<(String, Vec<String>)> {
    let (module, before) = line.split_once(':')?;
    let before = before.split_whitespace().rev().map(|path| stem(Path::new(path)));
    Some((stem(Path::new(module)), before.collect()))
}

/// `depends=jbd2,mbcache` of `.modinfo`, which is strings with zeros between them.
fn own_dependencies(module: &[u8]) -> Vec<String> {
    let mut strings = module.split(|&byte| byte == 0);
    let Some(depends) = strings.find_map(|string| string.strip_prefix(b"depends=")) else {
        return Vec::new();
    };
    let text = String::from_utf8_lossy(depends);
    text.split(',')
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

/// A module's name, as the kernel has it.
fn stem(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.split(".ko").next().unwrap_or_default().replace('-', "_")
}

fn find_all(dir: &Path, paths: &mut BTreeMap<String, PathBuf>) -> Result<(), Error> {
    for entry in std::fs::read_dir(dir).of("list", dir)?.flatten() {
        let path = entry.path();
        let kind = entry.file_type().of("inspect", &path)?;
        if kind.is_dir() {
            find_all(&path, paths)?;
        } else if kind.is_file()
            && path
                .file_name()
                .is_some_and(|name| name.to_string_lossy().contains(".ko"))
        {
            paths.insert(stem(&path), path);
        }
    }
    Ok(())
}

/// A module as the kernel takes it from the agent: not compressed.
fn plain(path: &Path) -> Result<Vec<u8>, Error> {
    let file = File::open(path).of("open", path)?;
    let bytes = std::thread::scope(|scope| {
        let plain = decompressed(scope, file, Checked::Here, Budget::default())?;
        read_whole("module", LARGEST, plain)
    });
    Ok(bytes.of("read", path)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modules(dep: Option<&str>) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let kernel = dir.path().join("kernel");
        std::fs::create_dir(&kernel).unwrap();
        let module = |name: &str, depends: &str| {
            std::fs::write(
                kernel.join(name),
                format!("ELF\0license=GPL\0depends={depends}\0name=x\0"),
            )
            .unwrap();
        };
        module("ext4.ko", "jbd2,mbcache");
        module("jbd2.ko", "");
        std::fs::write(
            kernel.join("mbcache.ko.zst"),
            zstd::encode_all(&b"ELF\0depends=\0"[..], 1).unwrap(),
        )
        .unwrap();
        module("virtio-net.ko", "");
        std::fs::write(
            dir.path().join("modules.builtin"),
            "kernel/fs/overlayfs/overlay.ko\n",
        )
        .unwrap();
        if let Some(dep) = dep {
            std::fs::write(dir.path().join("modules.dep"), dep).unwrap();
        }
        dir
    }

    const EXT4: Wanted = Wanted {
        option: "CONFIG_EXT4_FS",
        module: "ext4",
    };

    #[test]
    fn modules_come_after_what_they_need_and_plain() {
        let dep =
            "kernel/ext4.ko: kernel/mbcache.ko.zst kernel/jbd2.ko\nkernel/jbd2.ko:\nkernel/mbcache.ko.zst:\n";
        for (dep, order) in [
            (
                None,
                ["00-jbd2.ko", "01-mbcache.ko", "02-ext4.ko", "03-virtio_net.ko"],
            ),
            (
                Some(dep),
                ["00-jbd2.ko", "01-mbcache.ko", "02-ext4.ko", "03-virtio_net.ko"],
            ),
        ] {
            let dir = modules(dep);
            let into = dir.path().join("taken");
            assert_eq!(take(&[EXT4], Some(dir.path()), &into).unwrap(), order);
            assert!(
                std::fs::read(into.join("01-mbcache.ko"))
                    .unwrap()
                    .starts_with(b"ELF")
            );
        }
    }

    #[test]
    fn a_network_card_comes_with_what_it_needs_or_not_at_all() {
        let dir = modules(None);
        let module = |name: &str, depends: &str| {
            let text = format!("ELF\0depends={depends}\0");
            std::fs::write(dir.path().join("kernel").join(name), text).unwrap();
        };
        module("virtio-net.ko", "net_failover");
        module("net_failover.ko", "failover");
        module("failover.ko", "");
        assert_eq!(
            take(&[], Some(dir.path()), &dir.path().join("a")).unwrap(),
            ["00-failover.ko", "01-net_failover.ko", "02-virtio_net.ko"]
        );
        std::fs::remove_file(dir.path().join("kernel/virtio-net.ko")).unwrap();
        let without = take(&[], Some(dir.path()), &dir.path().join("b")).unwrap();
        assert!(without.is_empty());
    }

    #[test]
    fn built_in_is_fine_and_missing_is_told_by_option() {
        let dir = modules(None);
        let overlay = Wanted {
            option: "CONFIG_OVERLAY_FS",
            module: "overlay",
        };
        take(&[overlay], Some(dir.path()), &dir.path().join("a")).unwrap();
        let vsock = Wanted {
            option: "CONFIG_VSOCKETS",
            module: "vsock",
        };
        let error = take(&[vsock], Some(dir.path()), &dir.path().join("b")).unwrap_err();
        assert!(error.to_string().contains("CONFIG_VSOCKETS"), "{error}");
        assert!(take(&[EXT4], None, &dir.path().join("c")).is_err());
    }
}
