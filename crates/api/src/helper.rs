//! The root helper as `bangerd helper --json` finds it, for `banger system`.

use std::net::IpAddr;
use std::path::PathBuf;

use banger_model::network::{Finding, NetMode};
use serde::{Deserialize, Serialize};

/// A user's root helper.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HelperReport {
    /// Whose VMs it is for.
    pub owner: u32,
    /// Where it should answer; none where this daemon may use none.
    pub socket: Option<PathBuf>,
    /// What it says, if it answers.
    pub state: Option<HelperState>,
    /// Why it does not, in words, with every cause.
    pub problem: Option<String>,
}

/// What a root helper says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HelperState {
    /// Its version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// The network, if one is prepared.
    pub network: Option<HelperNetwork>,
    /// Of which addresses networks may be; none with a helper of an older version.
    #[serde(default)]
    pub range: Option<String>,
    /// Why the network has no addresses for now, if it has none.
    #[serde(default)]
    pub withdrawn: Option<String>,
    /// Who is attached to it.
    pub attached: Vec<HelperMember>,
    /// How it confines itself, one line a means.
    pub confinement: Vec<String>,
    /// Where the host differs from the helper's plan.
    pub findings: Vec<Finding>,
}

/// The blocks of VMs' addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HelperNetwork {
    /// Of IPv4.
    pub subnet: String,
    /// Of IPv6.
    pub ula: String,
}

/// An attached VM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HelperMember {
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// What it reaches.
    pub mode: NetMode,
}
