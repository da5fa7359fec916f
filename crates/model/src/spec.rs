//! What a VM is made of: the part of its record that does not change by itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::network::{InvalidRules, Policy};
use crate::{ByteSize, ImageName, KernelName, VmId, VmName};

/// The virtual machine monitor that runs a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum VmmKind {
    /// Firecracker, on KVM.
    Firecracker,
    /// QEMU's `microvm` machine, on KVM or with TCG emulation.
    Qemu,
    /// The real agent as a host process, without a machine: for tests of everything else.
    Fake,
}

impl VmmKind {
    /// The VMM as a word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Firecracker => "firecracker",
            Self::Qemu => "qemu",
            Self::Fake => "fake",
        }
    }
}

impl std::fmt::Display for VmmKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// Which VMM the user asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum VmmChoice {
    /// Firecracker where the host can run it, else QEMU, saying why.
    #[default]
    Auto,
    /// Firecracker or an error.
    Firecracker,
    /// QEMU or an error.
    Qemu,
    /// The fake, which only tests ask for.
    Fake,
}

impl VmmChoice {
    /// The choice as a word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Firecracker => "firecracker",
            Self::Qemu => "qemu",
            Self::Fake => "fake",
        }
    }
}

impl std::str::FromStr for VmmChoice {
    type Err = InvalidSpec;

    fn from_str(text: &str) -> Result<Self, InvalidSpec> {
        match text {
            "auto" => Ok(Self::Auto),
            "firecracker" => Ok(Self::Firecracker),
            "qemu" => Ok(Self::Qemu),
            "fake" => Ok(Self::Fake),
            _ => Err(InvalidSpec::Vmm(text.to_owned())),
        }
    }
}

/// How far a start goes before it returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WaitFor {
    /// The agent pushed `Ready`: commands run.
    #[default]
    Agent,
    /// The image's init reached its default target.
    Init,
    /// The image's SSH server listens.
    Ssh,
}

impl std::str::FromStr for WaitFor {
    type Err = InvalidSpec;

    fn from_str(text: &str) -> Result<Self, InvalidSpec> {
        match text {
            "agent" => Ok(Self::Agent),
            "init" => Ok(Self::Init),
            "ssh" => Ok(Self::Ssh),
            _ => Err(InvalidSpec::Wait(text.to_owned())),
        }
    }
}

/// What a VM is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VmSpec {
    /// Identity.
    pub id: VmId,
    /// Name, unique among the user's VMs.
    pub name: VmName,
    /// The image it boots, as it was named.
    pub image: ImageName,
    /// The kernel it boots.
    pub kernel: KernelName,
    /// Virtual CPUs.
    pub vcpus: u32,
    /// Memory.
    pub memory: ByteSize,
    /// Size of the writable disk.
    pub disk_size: ByteSize,
    /// The VMM that was asked for.
    pub vmm: VmmChoice,
    /// Variables that every command in the guest gets.
    pub env: BTreeMap<String, String>,
    /// The user's labels.
    pub labels: BTreeMap<String, String>,
    /// What it may reach.
    #[serde(default)]
    pub net: Policy,
    /// Nothing of its user's goes into it by itself: no files, and not whose commits are made.
    #[serde(default)]
    pub anonymous: bool,
    /// The repository by whose configuration it was made.
    #[serde(default)]
    pub repository: Option<ShapedBy>,
}

/// A configuration of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShapedBy {
    /// The top of the repository.
    pub path: String,
    /// The digest of all files by which it asks for something.
    pub digest: String,
}

/// A specification that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSpec {
    /// No such VMM.
    #[error("unknown VMM `{0}`: expected auto, firecracker or qemu")]
    Vmm(String),
    /// No such readiness.
    #[error("invalid wait condition `{0}`: expected agent, init or ssh")]
    Wait(String),
    /// A number of vCPUs outside what the VMMs take.
    #[error("invalid number of vCPUs {0}: expected 1 to 32")]
    Vcpus(u32),
    /// Memory below what a guest boots with, or beyond what is sane.
    #[error("invalid memory size {0}: expected 128M to 1T")]
    Memory(ByteSize),
    /// A disk too small for a file system, or beyond the format.
    #[error("invalid disk size {0}: expected 64M to 16T")]
    Disk(ByteSize),
    /// A variable whose name no shell could hold.
    #[error("invalid environment variable name `{0}`")]
    Env(String),
    /// A variable whose value no program could be given.
    #[error("invalid value of environment variable `{0}`: it contains a NUL character")]
    EnvValue(String),
    /// More rules than the packet filter takes for one VM.
    #[error("invalid network rules")]
    Rules(#[source] InvalidRules),
}

/// Checks that a program can be given these variables: each is `NAME=VALUE`, and ends with a NUL.
fn check_variables(env: &BTreeMap<String, String>) -> Result<(), InvalidSpec> {
    for (name, value) in env {
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(InvalidSpec::Env(name.clone()));
        }
        if value.contains('\0') {
            return Err(InvalidSpec::EnvValue(name.clone()));
        }
    }
    Ok(())
}

impl VmSpec {
    /// Checks every number and variable of the specification.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn validate(&self) -> Result<(), InvalidSpec> {
        if !(1..=32).contains(&self.vcpus) {
            return Err(InvalidSpec::Vcpus(self.vcpus));
        }
        if self.memory < ByteSize::mib(128) || self.memory > ByteSize::gib(1024) {
            return Err(InvalidSpec::Memory(self.memory));
        }
        if self.disk_size < ByteSize::mib(64) || self.disk_size > ByteSize::gib(16 << 10) {
            return Err(InvalidSpec::Disk(self.disk_size));
        }
        self.net.validate().map_err(InvalidSpec::Rules)?;
        check_variables(&self.env)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_can_be_given_to_a_program() {
        for (name, value, is_valid) in [
            ("A", "b", true),
            ("A", "", true),
            ("", "b", false),
            ("A=", "b", false),
            ("A\0", "b", false),
            ("A", "b\0", false),
        ] {
            let env = BTreeMap::from([(name.to_owned(), value.to_owned())]);
            assert_eq!(check_variables(&env).is_ok(), is_valid, "{name:?} {value:?}");
        }
    }
}
