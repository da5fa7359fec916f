//! What is said of images, in their records and over the API alike.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What an image's maker says of how to run it (the OCI image specification's `config.md`).
// Records of before may lack what was added since; over the API everything is there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub struct ImageConfig {
    /// Variables, as `NAME=VALUE`.
    #[schema(required = true)]
    pub env: Vec<String>,
    /// What is run.
    #[schema(required = true)]
    pub entrypoint: Vec<String>,
    /// Its arguments, or what is run when there is no entry point.
    #[schema(required = true)]
    pub cmd: Vec<String>,
    /// Who runs it, as `USER[:GROUP]`; empty for root.
    #[schema(required = true)]
    pub user: String,
    /// Where; empty for the user's home.
    #[schema(required = true)]
    pub workdir: String,
    /// Labels.
    #[schema(required = true)]
    pub labels: BTreeMap<String, String>,
    /// Ports that it listens on, such as `80/tcp`.
    #[schema(required = true)]
    pub exposed_ports: Vec<String>,
    /// The signal that stops it, if it is not SIGTERM.
    pub stop_signal: Option<String>,
}

/// Where an image was pulled from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ImageOrigin {
    /// The reference, in full.
    pub reference: String,
    /// The platform that was asked for, such as `linux/amd64`.
    pub platform: String,
    /// The digest that the reference had: of the index, where there is one.
    pub digest: Option<String>,
}

/// How references of files of this host begin.
const OF_FILES: [&str; 4] = ["oci:", "oci-archive:", "docker-archive:", "archive:"];

impl ImageOrigin {
    /// Whether it is a place that has the image on: a registry or a catalog. A file of this host's may be gone.
    pub fn is_elsewhere(&self) -> bool {
        !OF_FILES.iter().any(|kind| self.reference.starts_with(kind))
    }

    /// Whether both are the same image, perhaps at different times.
    pub fn is_like(&self, other: &Self) -> bool {
        self.reference == other.reference && self.platform == other.platform
    }
}

/// How the layers of an exported image are compressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// zstd; Docker reads it from version 23 on.
    #[default]
    Zstd,
    /// gzip, which every tool reads.
    Gzip,
    /// Not at all.
    None,
}

/// How a path differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DifferenceKind {
    /// It is new.
    Added,
    /// It is gone, with all below it.
    Removed,
    /// It is not the same.
    Changed,
}

/// What of an entry can change; its time is not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Aspect {
    /// A file became a directory, or the like.
    Kind,
    /// A file's bytes, a link's target, a device's number.
    Content,
    /// Permissions.
    Mode,
    /// User or group.
    Owner,
    /// Extended attributes.
    Attributes,
}
