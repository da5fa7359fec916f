//! What takes space on this host.

use serde::{Deserialize, Serialize};

/// What takes space.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DiskUsage {
    /// By kind. Images and layers are the same files: the bytes of images are those of their layers.
    pub kinds: Vec<UsageOf>,
}

/// A kind of what takes space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UsageKind {
    /// Images.
    Images,
    /// Files of images, each once.
    Layers,
    /// Kernels.
    Kernels,
    /// Disks, logs and records of VMs.
    Vms,
    /// What is made again when it is needed.
    Caches,
}

/// What objects of one kind take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct UsageOf {
    /// The kind.
    pub kind: UsageKind,
    /// How many there are.
    pub count: u64,
    /// How many are in use.
    pub used: u64,
    /// Bytes that all of them take.
    pub bytes: u64,
    /// Bytes of these that a prune can free, with everything that its user may agree to.
    pub reclaimable: u64,
    /// Each of them.
    pub objects: Vec<UsageObject>,
}

/// An object that takes space.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct UsageObject {
    /// Its name; the path of a layer.
    pub name: String,
    /// Bytes that it takes, with what it shares.
    pub bytes: u64,
    /// Bytes of these that go when it alone is pruned.
    pub reclaimable: u64,
    /// Whether it is in use.
    pub is_used: bool,
    /// VMs that use it; images that use a layer.
    pub used_by: Vec<String>,
}

impl UsageOf {
    /// The objects of a kind, summed up.
    pub fn of(kind: UsageKind, objects: Vec<UsageObject>) -> Self {
        Self {
            kind,
            count: objects.len() as u64,
            used: objects.iter().filter(|object| object.is_used).count() as u64,
            bytes: objects.iter().map(|object| object.bytes).sum(),
            reclaimable: objects.iter().map(|object| object.reclaimable).sum(),
            objects,
        }
    }
}
