//! What takes space on this host, and what of that a prune would free. The prunes themselves say what they would remove.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use banger_api::{DiskUsage, ErrorBody, Prune, Pruned, UsageKind, UsageObject, UsageOf};
use banger_model::Described;
use banger_request::blocking;

use super::{Error, Vms, space_used};

/// Everything, as a prune with `all` would remove it; nothing is removed.
const DRY: Prune = Prune {
    dry_run: true,
    all: true,
    only: None,
    without_vms: Vec::new(),
    without_images: Vec::new(),
};

/// What the prunes would remove.
struct Prunable {
    vms: Pruned,
    images: Pruned,
    kernels: Pruned,
}

impl Vms {
    /// What images, kernels, VMs and caches take.
    pub async fn usage(self: &Arc<Self>) -> Result<DiskUsage, ErrorBody> {
        let prunable = Prunable {
            vms: self.prune_vms(&DRY).await?,
            images: self.prune_images(&DRY).described()?,
            kernels: self.prune_kernels(&DRY).described()?,
        };
        let vms = Arc::clone(self);
        blocking("adding up disk usage", move || vms.added_up(&prunable)).await
    }

    /// Walks the directories of VMs and of the cache, which may be large.
    fn added_up(&self, prunable: &Prunable) -> Result<DiskUsage, Error> {
        let (images, layers) = self.usage_of_images(&prunable.images)?;
        Ok(DiskUsage {
            kinds: vec![
                images,
                layers,
                self.usage_of_kernels(&prunable.kernels)?,
                self.usage_of_vms(&prunable.vms),
                self.usage_of_caches(),
            ],
        })
    }

    fn usage_of_vms(&self, prunable: &Pruned) -> UsageOf {
        let objects = self.list().into_iter().map(|handle| {
            let state = handle.state();
            let (name, files) = (state.spec.name.to_string(), self.context.files(state.spec.id));
            let bytes = of_tree(files.dir());
            UsageObject {
                is_used: state.phase.may_have_machine(),
                reclaimable: if prunable.names.contains(&name) { bytes } else { 0 },
                used_by: Vec::new(),
                name,
                bytes,
            }
        });
        UsageOf::of(UsageKind::Vms, objects.collect())
    }

    /// Images, whose own size is that of their layers without those of others; and all layers, each once.
    fn usage_of_images(&self, prunable: &Pruned) -> Result<(UsageOf, UsageOf), Error> {
        let images = self.context.images.list().map_err(|source| Error::Store {
            what: "the disk usage of images",
            source,
        })?;
        let mut layers: BTreeMap<PathBuf, Vec<String>> = BTreeMap::new();
        for image in images.iter().filter(|image| image.managed) {
            let files = image
                .layers
                .iter()
                .map(|layer| &layer.path)
                .chain(&image.work_seed);
            for file in files {
                layers
                    .entry(file.clone())
                    .or_default()
                    .push(image.name.to_string());
            }
        }
        let alone = |name: &str| {
            let own = layers
                .iter()
                .filter(|(_, users)| users.iter().all(|user| user == name));
            own.map(|(path, _)| space_used(path).as_bytes()).sum::<u64>()
        };
        let of_images = images.iter().map(|image| {
            let name = image.name.to_string();
            let used_by = self.users_of_image(&image.id);
            UsageObject {
                bytes: if image.managed { image.bytes } else { 0 },
                reclaimable: if prunable.names.contains(&name) {
                    alone(&name)
                } else {
                    0
                },
                is_used: !used_by.is_empty(),
                used_by,
                name,
            }
        });
        let of_layers = layers.iter().map(|(path, users)| UsageObject {
            name: path.display().to_string(),
            bytes: space_used(path).as_bytes(),
            reclaimable: match users.iter().all(|user| prunable.names.contains(user)) {
                true => space_used(path).as_bytes(),
                false => 0,
            },
            is_used: true,
            used_by: users.clone(),
        });
        let layers = UsageOf::of(UsageKind::Layers, of_layers.collect());
        let mut of_images = UsageOf::of(UsageKind::Images, of_images.collect());
        // Images share layers: together they take what the layers take, and free what the prune says.
        of_images.bytes = layers.bytes;
        of_images.reclaimable = prunable.bytes;
        Ok((of_images, layers))
    }

    fn usage_of_kernels(&self, prunable: &Pruned) -> Result<UsageOf, Error> {
        let kernels = self.context.kernels.list().map_err(|source| Error::Kernel {
            what: "the disk usage of kernels",
            source,
        })?;
        let objects = kernels.into_iter().map(|kernel| {
            let used_by = self.users_of_kernel(&kernel.name);
            let name = kernel.name.to_string();
            UsageObject {
                bytes: kernel.bytes,
                reclaimable: if prunable.names.contains(&name) {
                    kernel.bytes
                } else {
                    0
                },
                is_used: !used_by.is_empty(),
                used_by,
                name,
            }
        });
        Ok(UsageOf::of(UsageKind::Kernels, objects.collect()))
    }

    /// Every directory of the cache, of which the initrds can be removed at any time.
    fn usage_of_caches(&self) -> UsageOf {
        let prunable = self.prune_cache(true);
        let entries = std::fs::read_dir(&self.context.paths.cache);
        let mut objects: Vec<UsageObject> = entries
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| {
                let name = entry.file_name().to_string_lossy().into_owned();
                UsageObject {
                    bytes: of_tree(&entry.path()),
                    reclaimable: if name == "initrd" { prunable.bytes } else { 0 },
                    is_used: false,
                    used_by: Vec::new(),
                    name,
                }
            })
            .collect();
        objects.sort_by(|a, b| a.name.cmp(&b.name));
        UsageOf::of(UsageKind::Caches, objects)
    }
}

/// Bytes that the files below a directory take, each once; links are not followed.
fn of_tree(path: &Path) -> u64 {
    fn add(path: &Path, seen: &mut BTreeSet<(u64, u64)>) -> u64 {
        use std::os::unix::fs::MetadataExt;
        let Ok(metadata) = std::fs::symlink_metadata(path) else {
            return 0;
        };
        if !metadata.is_dir() && !seen.insert((metadata.dev(), metadata.ino())) {
            return 0;
        }
        let below = match metadata.is_dir() {
            true => std::fs::read_dir(path).into_iter().flatten().flatten(),
            false => return metadata.blocks() * 512,
        };
        let below: u64 = below.map(|entry| add(&entry.path(), seen)).sum();
        below + metadata.blocks() * 512
    }
    add(path, &mut BTreeSet::new())
}
