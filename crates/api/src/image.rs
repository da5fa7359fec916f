//! Images over the API.

use std::path::PathBuf;

use banger_model::{
    Aspect, CatalogName, Compression, DifferenceKind, ImageConfig, ImageName, ImageOrigin, KernelName,
};
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
    /// What its maker says of how to run it, if it was pulled.
    #[serde(default)]
    pub config: Option<ImageConfig>,
    /// Where it was pulled from.
    #[serde(default)]
    pub origin: Option<ImageOrigin>,
    /// When it was made, as RFC 3339.
    pub created: String,
    /// Bytes on disk.
    pub bytes: u64,
    /// VMs that use it.
    pub used_by: Vec<String>,
    /// Whether VMs boot it when no image is named.
    pub default: bool,
}

/// Who the caller is to a registry. Without any of the optional fields: nobody.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegistryLogin {
    /// The registry, `HOST[:PORT]`, such as `docker.io`.
    pub registry: String,
    /// A user's name, which goes with a password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// Or an identity token, as `docker login` keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_token: Option<String>,
}

/// Without what is secret.
impl std::fmt::Debug for RegistryLogin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RegistryLogin")
            .field("registry", &self.registry)
            .finish_non_exhaustive()
    }
}

/// Pulls an image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImagePull {
    /// `alpine`, `registry.example/owner/image:tag` or `…@sha256:…`, `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]`,
    /// `docker-archive:FILE[:NAME]`, or `archive:FILE`, which is either of the last two.
    pub reference: String,
    /// The catalog that has an image of this name. When absent, a name without a tag is first looked for in all catalogs.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub catalog: Option<CatalogName>,
    /// The directory that relative paths in `reference` and `ca_cert` begin at.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub directory: Option<PathBuf>,
    /// The name it gets; one that follows from the reference when absent.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub name: Option<ImageName>,
    /// The kernel that its VMs boot.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub kernel: Option<KernelName>,
    /// For which platform, such as `linux/amd64`; this host's when absent.
    #[serde(default)]
    pub platform: Option<String>,
    /// Who the caller is to registries. To those that are not named here, the daemon is whom its own environment says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub logins: Vec<RegistryLogin>,
    /// Replace an image of the same name that came from elsewhere, and pull what is here again.
    #[serde(default)]
    pub force: bool,
    /// Trust any certificate of the registry, and take plain HTTP.
    #[serde(default)]
    pub insecure: bool,
    /// PEM certificates to trust beside the host's.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub ca_cert: Option<PathBuf>,
}

/// Gives an image a second name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageTag {
    /// The new name.
    #[schema(value_type = String)]
    pub name: ImageName,
    /// Take it over from an image that has it.
    #[serde(default)]
    pub force: bool,
}

/// Writes an image into an OCI archive. Its path is absolute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageExport {
    /// The file.
    #[schema(value_type = String)]
    pub path: PathBuf,
    /// How layers are compressed.
    #[serde(default)]
    pub compression: Compression,
    /// Replace the file if it is there.
    #[serde(default)]
    pub force: bool,
}

/// What was exported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ImageExported {
    /// The archive.
    #[schema(value_type = String)]
    pub path: PathBuf,
    /// Its length in bytes.
    pub bytes: u64,
    /// The digest of the image's manifest, with its algorithm.
    pub manifest: String,
    /// How many layers it has.
    pub layers: usize,
}

/// The query of a comparison.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageDiff {
    /// The image to compare with; the one that it was made on top of when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub other: Option<ImageName>,
}

/// A difference between two images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ImageDifference {
    /// The path. Bytes that are no UTF-8 are replaced.
    pub path: String,
    /// How it differs.
    pub kind: DifferenceKind,
    /// What of it, when it changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aspects: Vec<Aspect>,
}

/// An image's documents, as they came from where it was pulled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ImageInspection {
    /// The image.
    pub image: Image,
    /// Its manifest; null when it was not pulled.
    #[schema(value_type = Option<Object>)]
    pub manifest: serde_json::Value,
    /// Its configuration; null when it was not pulled.
    #[schema(value_type = Option<Object>)]
    pub configuration: serde_json::Value,
}

/// What came of a pull.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ImagePulled {
    /// The image.
    pub image: Image,
    /// Whether it was here and had not changed.
    pub unchanged: bool,
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
