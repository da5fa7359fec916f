//! What a catalog offers: kernels and images, each with where its artifact is.

use banger_model::{ImageName, KernelName};
use banger_store::Digest;
use serde::{Deserialize, Serialize};

use crate::location::RelativeLocation;

/// A kernel of a catalog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogKernel {
    /// Its name.
    pub name: KernelName,
    /// The distribution it comes from, such as `debian`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distro: Option<String>,
    /// The machines it is for, as in `uname -m`.
    pub arch: String,
    /// Its release, such as `6.1.0-56-cloud-amd64`.
    pub version: String,
    /// Where its artifact is, relative to the document.
    pub location: RelativeLocation,
    /// The artifact's digest.
    pub sha256: Digest,
    /// The artifact's length.
    pub bytes: u64,
    /// What it is good for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Boot arguments that it needs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub append: Vec<String>,
    /// The most virtual CPUs it takes, if there is a bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_vcpus: Option<u32>,
}

/// An image of a catalog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogImage {
    /// Its name.
    pub name: ImageName,
    /// `PRETTY_NAME` of its os-release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os: Option<String>,
    /// The machines it is for, as in `uname -m`.
    pub arch: String,
    /// Where its artifact is, relative to the document.
    pub location: RelativeLocation,
    /// The artifact's digest.
    pub sha256: Digest,
    /// The artifact's length.
    pub bytes: u64,
    /// The kernel that its VMs boot, one of the same catalog.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<KernelName>,
    /// What it is good for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}
