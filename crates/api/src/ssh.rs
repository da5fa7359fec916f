//! SSH into VMs.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Asks for a stream on which a VM speaks SSH.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SshStart {
    /// The image's own server, which listens at port 22, and not the agent's.
    pub sshd: bool,
}

/// What an SSH client needs on this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SshAccess {
    /// The file of the private key that every VM takes.
    #[schema(value_type = String)]
    pub identity: PathBuf,
    /// The file of the keys of VMs, which are called `NAME.vm` there.
    #[schema(value_type = String)]
    pub known_hosts: PathBuf,
}
