//! VMs over the API.

use std::collections::BTreeMap;
use std::net::IpAddr;

use banger_model::network::NetMode;
use banger_model::{ByteSize, ImageName, KernelName, Phase, VmName, VmmChoice, VmmKind};
use serde::{Deserialize, Serialize};

use crate::{ErrorBody, VmForward};

/// A VM as it is now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Vm {
    /// Its identity, sixteen hexadecimal digits.
    pub id: String,
    /// Its name.
    #[schema(value_type = String)]
    pub name: VmName,
    /// Where it is in its life.
    pub phase: Phase,
    /// Why it is paused, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<String>,
    /// What the daemon did with it unasked, such as finishing what an earlier daemon began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<String>,
    /// Whether it is removed with the command that it was made for.
    #[serde(default)]
    pub removes_on_exit: bool,
    /// Whether its creation is not finished: files or secrets are on their way, and it goes if they do not arrive.
    #[serde(default)]
    pub unfinished: bool,
    /// The image it boots.
    #[schema(value_type = String)]
    pub image: ImageName,
    /// The kernel it boots.
    #[schema(value_type = String)]
    pub kernel: KernelName,
    /// Virtual CPUs.
    pub vcpus: u32,
    /// Memory in bytes.
    #[schema(value_type = u64)]
    pub memory: ByteSize,
    /// Size of the writable disk in bytes.
    #[schema(value_type = u64)]
    pub disk_size: ByteSize,
    /// Bytes that the writable disk takes on the host.
    #[schema(value_type = u64)]
    pub disk_used: ByteSize,
    /// The VMM that was asked for.
    pub vmm: VmmChoice,
    /// The machine, while there is one.
    pub machine: Option<Machine>,
    /// Variables of every command.
    pub env: BTreeMap<String, String>,
    /// What the image that it was made of runs when nothing else is asked for; empty when that is a shell.
    #[serde(default)]
    pub entry_point: Vec<String>,
    /// The user's labels.
    pub labels: BTreeMap<String, String>,
    /// Its forwards.
    #[serde(default)]
    pub forwards: Vec<VmForward>,
    /// What it may reach, and where it is reached.
    #[serde(default)]
    pub network: VmNetwork,
    /// Whether it gets neither files of its user's nor whose commits git makes.
    #[serde(default)]
    pub anonymous: bool,
    /// The repository by whose configuration it was made.
    #[serde(default)]
    pub repository: Option<String>,
    /// Where files of this host's went in its guest, whether or not they are still there.
    #[serde(default)]
    pub host_files: Vec<String>,
    /// Names of the secrets that its guest was given, until it is started again.
    #[serde(default)]
    pub secrets: Vec<String>,
    /// When it was created, as RFC 3339.
    pub created: String,
    /// Why the last start failed or the last machine ended badly.
    pub last_error: Option<ErrorBody>,
}

/// A VM's network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub struct VmNetwork {
    /// How much it reaches.
    pub mode: NetMode,
    /// What beside that: `HOST[:PORT]`, `CIDR[:PORT]`, `*.DOMAIN[:PORT]`, `vm:NAME`, `host:PORT`.
    pub allow: Vec<String>,
    /// Its addresses, IPv4 first, while its machine has a network card.
    #[schema(value_type = Vec<String>)]
    pub addresses: Vec<IpAddr>,
    /// Who made the network that the card is in: `helper`, or `rootless` for its user alone.
    pub by: Option<String>,
    /// Why that one when nobody asked for it, or why there is none while the machine runs.
    pub because: Option<String>,
    /// Why the VM reaches nothing for now, although it has a card: someone else on the host has the network's addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub withdrawn: Option<String>,
}

/// The machine that runs a VM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Machine {
    /// Its VMM.
    pub vmm: VmmKind,
    /// `kvm`, `tcg` or `none`.
    pub acceleration: String,
    /// Why this VMM and not Firecracker, when `auto` fell back.
    pub fallback: Option<String>,
    /// Process id of the VMM.
    pub pid: i32,
    /// How its processes are confined, as the kernel has it; the VMM is the first.
    #[serde(default)]
    pub processes: Vec<MachineProcess>,
    /// When it started, as RFC 3339.
    pub started: String,
    /// The guest's operating system, once it told.
    pub os: Option<String>,
    /// The guest's kernel release, once it told.
    pub kernel_release: Option<String>,
    /// The init that runs the guest, once it told: `systemd`, `agent`, ….
    pub init: Option<String>,
    /// `booting`, `up` or `degraded`, once it told.
    pub init_state: Option<String>,
    /// Microseconds that each stage of the start took, by name.
    pub stages_micros: BTreeMap<String, u64>,
}

/// How a process of a machine is confined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct MachineProcess {
    /// Process id.
    pub pid: i32,
    /// The name of its program.
    pub program: String,
    /// The user that it is.
    pub uid: u32,
    /// Whether it can gain no privileges by executing a program.
    pub no_new_privs: bool,
    /// `off`, `filter` or `strict`, for the weakest of its threads.
    pub seccomp: String,
    /// Its effective capabilities, as a mask.
    pub capabilities: u64,
    /// The kinds of namespaces in which it is apart from the daemon.
    pub namespaces: Vec<String>,
    /// What is weaker than banger makes it.
    pub weaknesses: Vec<String>,
}
