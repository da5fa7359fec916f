//! Kernels over the API.

use std::path::PathBuf;

use banger_model::KernelName;
use serde::{Deserialize, Serialize};

/// A kernel of the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Kernel {
    /// Its name.
    #[schema(value_type = String)]
    pub name: KernelName,
    /// Its release, such as `6.1.0-56-cloud-amd64`.
    pub version: String,
    /// Where it came from, in words.
    pub source: String,
    /// Modules that banger's initrd loads for it, in load order.
    pub modules: Vec<String>,
    /// Whether it brings an initrd of its own.
    pub initrd: bool,
    /// Boot arguments that it needs.
    pub append: Vec<String>,
    /// The most virtual CPUs it takes, if there is a bound.
    pub max_vcpus: Option<u32>,
    /// What it was found to support, such as `pvh`, `acpi`, `smp`.
    pub supports: Vec<String>,
    /// Bytes on disk.
    pub bytes: u64,
    /// VMs that use it.
    pub used_by: Vec<String>,
    /// Whether VMs boot it when no kernel is named.
    pub default: bool,
}

/// Imports a kernel. Paths are absolute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KernelImport {
    /// The name it gets.
    #[schema(value_type = String)]
    pub name: KernelName,
    /// Where it comes from.
    pub source: KernelSource,
    /// Boot arguments that it needs.
    #[serde(default)]
    pub append: Vec<String>,
    /// The most virtual CPUs it takes.
    #[serde(default)]
    pub max_vcpus: Option<u32>,
    /// Replace a kernel of the same name.
    #[serde(default)]
    pub force: bool,
}

/// Where a kernel comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum KernelSource {
    /// A package of the host's package manager: downloaded, not installed.
    Package(String),
    /// A Debian package file.
    #[schema(value_type = String)]
    Deb(PathBuf),
    /// The kernel that the host runs.
    Host,
    /// Files.
    Files(KernelFiles),
}

/// The files of a kernel. One of `vmlinux` and `vmlinuz` is needed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct KernelFiles {
    /// An uncompressed ELF kernel.
    #[schema(value_type = Option<String>)]
    pub vmlinux: Option<PathBuf>,
    /// A bzImage.
    #[schema(value_type = Option<String>)]
    pub vmlinuz: Option<PathBuf>,
    /// An initrd to run before banger's own.
    #[schema(value_type = Option<String>)]
    pub initrd: Option<PathBuf>,
    /// A directory like `/lib/modules/6.1.0-56-cloud-amd64`.
    #[schema(value_type = Option<String>)]
    pub modules: Option<PathBuf>,
    /// The kernel's `.config`.
    #[schema(value_type = Option<String>)]
    pub config: Option<PathBuf>,
}
