//! Catalogs of kernels and images over the API.

use std::path::PathBuf;

use banger_model::{CatalogName, ImageName, KernelName};
use serde::{Deserialize, Serialize};

use crate::{ErrorBody, Kernel};

/// A catalog that is configured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Catalog {
    /// What it is called here.
    #[schema(value_type = String)]
    pub name: CatalogName,
    /// A URL, or a path of this host.
    pub location: String,
    /// The public key of minisign that vouches for it.
    pub key: String,
    /// Whether it stands in `config.toml`, where only its user changes it.
    pub in_config: bool,
}

/// Adds a catalog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CatalogAdd {
    /// What it shall be called.
    #[schema(value_type = String)]
    pub name: CatalogName,
    /// An `http` or `https` URL, or an absolute path, of its document or the directory that has it.
    pub location: String,
    /// The public key of minisign that vouches for it.
    pub key: String,
}

/// What all catalogs have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AvailableKernels {
    /// The kernels, catalog by catalog.
    pub kernels: Vec<AvailableKernel>,
    /// Catalogs that could not be read.
    pub failures: Vec<CatalogFailure>,
}

/// A kernel that can be pulled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AvailableKernel {
    /// The catalog that has it.
    #[schema(value_type = String)]
    pub catalog: CatalogName,
    /// What is known of it.
    #[serde(flatten)]
    pub kernel: CatalogKernel,
    /// Whether it is here.
    pub here: Presence,
}

/// A kernel as a catalog describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CatalogKernel {
    /// Its name.
    #[schema(value_type = String)]
    pub name: KernelName,
    /// The distribution it comes from.
    pub distro: Option<String>,
    /// The machines it is for, as in `uname -m`.
    pub arch: String,
    /// Its release.
    pub version: String,
    /// What it is good for.
    pub description: Option<String>,
    /// Bytes to fetch.
    pub bytes: u64,
    /// SHA-256 digest of its artifact.
    pub sha256: String,
    /// Boot arguments that it needs.
    pub append: Vec<String>,
    /// The most virtual CPUs it takes, if there is a bound.
    pub max_vcpus: Option<u32>,
}

/// The images that all catalogs have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AvailableImages {
    /// The images, catalog by catalog.
    pub images: Vec<AvailableImage>,
    /// Catalogs that could not be read.
    pub failures: Vec<CatalogFailure>,
}

/// An image that can be pulled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AvailableImage {
    /// The catalog that has it.
    #[schema(value_type = String)]
    pub catalog: CatalogName,
    /// What is known of it.
    #[serde(flatten)]
    pub image: CatalogImage,
    /// Whether it is here, under its own name.
    pub here: Presence,
}

/// An image as a catalog describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CatalogImage {
    /// Its name.
    #[schema(value_type = String)]
    pub name: ImageName,
    /// `PRETTY_NAME` of its os-release.
    pub os: Option<String>,
    /// The machines it is for, as in `uname -m`.
    pub arch: String,
    /// What it is good for.
    pub description: Option<String>,
    /// Bytes to fetch.
    pub bytes: u64,
    /// SHA-256 digest of its artifact.
    pub sha256: String,
    /// The kernel that its VMs boot, which comes along.
    #[schema(value_type = Option<String>)]
    pub kernel: Option<KernelName>,
}

/// Whether what a catalog offers is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    /// It is not.
    Absent,
    /// It was pulled.
    Here,
    /// Another one of its name is here, from elsewhere or from an older state of the catalog.
    Another,
    /// It is for other machines than this one.
    Foreign,
}

/// A catalog that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CatalogFailure {
    /// The catalog.
    #[schema(value_type = String)]
    pub catalog: CatalogName,
    /// Why.
    pub error: ErrorBody,
}

/// Pulls a kernel from a catalog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KernelPull {
    /// Its name, in the catalog and here.
    #[schema(value_type = String)]
    pub name: KernelName,
    /// The catalog; needed when several have such a kernel.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub catalog: Option<CatalogName>,
    /// Replace another kernel of this name.
    #[serde(default)]
    pub force: bool,
}

/// What came of a pull.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct KernelPulled {
    /// The kernel.
    #[serde(flatten)]
    pub kernel: Kernel,
    /// Whether it was here already, so that nothing was fetched.
    pub was_here: bool,
}

/// Makes a catalog in a directory, or adds to the one that is there. Paths are absolute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KernelPublish {
    /// The directory.
    #[schema(value_type = String)]
    pub dir: PathBuf,
    /// The kernels; all when empty.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    pub kernels: Vec<KernelName>,
    /// What it is signed with.
    pub key: SigningKey,
    /// The distribution that the kernels come from.
    #[serde(default)]
    pub distro: Option<String>,
    /// What the kernels are good for.
    #[serde(default)]
    pub description: Option<String>,
    /// Days after which users no longer take the catalog as it is then.
    #[serde(default = "valid_days")]
    pub valid_days: u16,
}

/// How long a catalog is valid unless its publisher says otherwise.
const fn valid_days() -> u16 {
    180
}

/// Makes a catalog of images in a directory, or adds to the one that is there. Paths are absolute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImagePublish {
    /// The directory.
    #[schema(value_type = String)]
    pub dir: PathBuf,
    /// The images; all when empty. The kernels that they name go along.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    pub images: Vec<ImageName>,
    /// What it is signed with.
    pub key: SigningKey,
    /// What the images are good for.
    #[serde(default)]
    pub description: Option<String>,
    /// Days after which users no longer take the catalog as it is then.
    #[serde(default = "valid_days")]
    pub valid_days: u16,
}

/// A secret key of minisign, without a password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum SigningKey {
    /// The one in this file.
    #[schema(value_type = String)]
    Existing(PathBuf),
    /// A new one, put into this file, and its public key beside it with `.pub`.
    #[schema(value_type = String)]
    New(PathBuf),
}

/// What was published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Published {
    /// The directory.
    #[schema(value_type = String)]
    pub dir: PathBuf,
    /// The public key that users of the catalog configure.
    pub key: String,
    /// The kernels that were added or replaced.
    pub kernels: Vec<CatalogKernel>,
    /// The images that were added or replaced.
    #[serde(default)]
    pub images: Vec<CatalogImage>,
    /// Until when users take the catalog as it is now, as RFC 3339.
    pub expires: String,
}
