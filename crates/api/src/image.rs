//! Images over the API.

use std::path::PathBuf;

use banger_model::{ImageName, KernelName};
use serde::{Deserialize, Serialize};

/// An image of the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Image {
    /// Its name.
    #[schema(value_type = String)]
    pub name: ImageName,
    /// Whether banger owns its files; if not, they lie where they were registered.
    pub managed: bool,
    /// Paths of its read-only layers, the lowest first.
    #[schema(value_type = Vec<String>)]
    pub layers: Vec<PathBuf>,
    /// The work seed, if it has one.
    #[schema(value_type = Option<String>)]
    pub work_seed: Option<PathBuf>,
    /// The kernel that its VMs boot, if it names one.
    #[schema(value_type = Option<String>)]
    pub kernel: Option<KernelName>,
    /// `PRETTY_NAME` of its os-release.
    pub os: Option<String>,
    /// The init found in it, such as `systemd`.
    pub init: Option<String>,
    /// When it was made, as RFC 3339.
    pub created: String,
    /// Bytes on disk.
    pub bytes: u64,
    /// VMs that use it.
    pub used_by: Vec<String>,
    /// Whether VMs boot it when no image is named.
    pub default: bool,
}

/// Imports a tar or directory that the daemon can read. Its path is absolute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageImport {
    /// The name it gets.
    #[schema(value_type = String)]
    pub name: ImageName,
    /// A tar (plain, gzip, zstd or xz) or a directory.
    #[schema(value_type = String)]
    pub path: PathBuf,
    /// The kernel that its VMs boot.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub kernel: Option<KernelName>,
    /// Replace an image of the same name. VMs that use the old one keep it.
    #[serde(default)]
    pub force: bool,
}

/// The query of an import whose tar is the request's body.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageUpload {
    /// The kernel that its VMs boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub kernel: Option<KernelName>,
    /// Replace an image of the same name.
    #[serde(default)]
    pub force: bool,
}

/// Takes an existing ext4 file as an image, where it lies. Paths are absolute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageRegister {
    /// The name it gets.
    #[schema(value_type = String)]
    pub name: ImageName,
    /// The root file system.
    #[schema(value_type = String)]
    pub rootfs: PathBuf,
    /// A second writable disk at `/root`, of which each VM gets a copy.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub work_seed: Option<PathBuf>,
    /// A kernel of the store.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub kernel_ref: Option<KernelName>,
    /// Or a kernel's files, imported as a kernel of the image's name.
    #[serde(default)]
    pub kernel: Option<crate::KernelSource>,
}
