//! The boot conversation: hello, configure, ready, shutdown.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The guest's first word, one line of JSON on the connection to the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`crate::PROTOCOL`] of the agent.
    pub protocol: u32,
    /// The agent's version.
    pub agent: String,
    /// Milliseconds since the guest kernel started (`CLOCK_BOOTTIME`).
    pub uptime_ms: u64,
}

/// Everything the guest needs to become the VM it is meant to be. Sent once a boot; a second one is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Configure {
    /// [`crate::PROTOCOL`] of the host.
    pub protocol: u32,
    /// Host name, also written to the guest's `/etc/hostname` and `/etc/hosts`.
    pub hostname: String,
    /// The machine id (32 hexadecimal digits) that the guest's `/etc/machine-id` gets when the image has none.
    pub machine_id: String,
    /// Which disks make the root.
    pub disks: Disks,
    /// Variables for every command, over the image's own.
    pub env: BTreeMap<String, String>,
    /// What the host's clock says now.
    pub clock: Clock,
    /// Who runs the guest after this.
    pub handover: Handover,
    /// Random bytes (hexadecimal) mixed into the guest's pool, so that guests of one image differ from the start.
    pub entropy: String,
    /// The guest's network card; without one the guest has its loopback interface alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// The image's working directory, which is made when no layer has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workdir: Option<String>,
    /// Settings of git that hold where the image says nothing else, in the syntax of git-config(1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git: Option<String>,
}

/// A guest's one network card, and all that it is told of the network: no DHCP and no router advertisement says more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// The card's hardware address, as the VMM gave it, which is how it is found: six bytes in hexadecimal, `06:00:ac:10:00:02`.
    pub mac: String,
    /// The guest's own addresses, each alone in its prefix (/32, /128): other guests are behind the gateway like all else.
    pub addresses: Vec<IpAddr>,
    /// The next hop for everything, at most one of a family. It is on the link, whatever its address.
    pub gateways: Vec<IpAddr>,
    /// The largest packet in bytes, without the Ethernet header (netdevice(7)). Linux takes 1280 or more where there is
    /// IPv6 (RFC 8200, section 5).
    pub mtu: u16,
    /// Whom to ask for names: `nameserver` of resolv.conf(5), in that order. The C libraries ask the first three.
    pub resolvers: Vec<IpAddr>,
    /// Domains in which a name is looked for: `search` of resolv.conf(5), such as `vm`.
    pub search: Vec<String>,
}

/// How the root file system is put together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disks {
    /// What the root is made of.
    pub root: Root,
    /// A writable ext4 disk to mount at `/root`, if the image brings a work seed.
    pub work: Option<String>,
}

/// What the root is made of. Devices are guest paths such as `/dev/vda`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Root {
    /// An overlay: read-only ext4 layers, the lowest first, under a writable ext4 disk.
    Overlay {
        /// The layers, the lowest first. Never empty.
        layers: Vec<Layer>,
        /// Device of the writable disk.
        writable: String,
    },
    /// The agent's own file system is the root already: the fake backend.
    Existing,
}

/// A read-only part of the root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layer {
    /// Its device.
    pub device: String,
    /// The directory in it that is the layer; its root when absent.
    pub dir: Option<String>,
}

/// The host's wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clock {
    /// Seconds since the epoch.
    pub secs: i64,
    /// Nanoseconds of the second.
    pub nanos: u32,
}

/// The header of every request that says what the host's clock is, as [`Clock`] prints it.
pub const CLOCK_HEADER: &str = "banger-clock";

impl Clock {
    /// The time at a distance from the epoch.
    pub fn since_epoch(since: Duration) -> Self {
        Self {
            secs: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
            nanos: since.subsec_nanos(),
        }
    }
}

impl fmt::Display for Clock {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{:09}", self.secs, self.nanos)
    }
}

impl FromStr for Clock {
    type Err = InvalidClock;

    fn from_str(text: &str) -> Result<Self, InvalidClock> {
        let (secs, nanos) = text.split_once('.').ok_or(InvalidClock)?;
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(secs) || !is_number(nanos) || nanos.len() != 9 {
            return Err(InvalidClock);
        }
        Ok(Self {
            secs: secs.parse().map_err(|_| InvalidClock)?,
            nanos: nanos.parse().map_err(|_| InvalidClock)?,
        })
    }
}

/// A text is no time since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("invalid clock: expected seconds, a dot and nine digits")]
pub struct InvalidClock;

/// Who runs the guest after the root is mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Handover {
    /// The image's init when it has one, else the agent.
    #[default]
    Auto,
    /// The agent, even when the image has an init.
    Agent,
}

/// The init that runs the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InitKind {
    /// systemd.
    Systemd,
    /// OpenRC's own init, or one of busybox or sysvinit that starts OpenRC.
    OpenRc,
    /// runit.
    Runit,
    /// sysvinit or busybox init.
    SysV,
    /// Another program at `/sbin/init`.
    Other,
    /// The agent itself.
    Agent,
}

/// The guest's pushed readiness: the root is mounted and commands run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// The init that takes over.
    pub init: InitKind,
    /// The guest kernel's release.
    pub kernel: String,
    /// `PRETTY_NAME` of the image's os-release, if it has one.
    pub os: Option<String>,
    /// Milliseconds since the guest kernel started, at which each phase ended: `init`, `modules`, `listening`,
    /// `configured`, `network` (with a card), `mounted`, `ready`.
    pub phases_ms: BTreeMap<String, u64>,
}

/// Liveness and identity of the agent's server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// [`crate::PROTOCOL`] of the agent.
    pub protocol: u32,
    /// The agent's version.
    pub agent: String,
    /// Process id of the server, which changes when it was restarted.
    pub pid: u32,
    /// Milliseconds since the guest kernel started.
    pub uptime_ms: u64,
    /// Commands that run now, of those that this server process started.
    pub running: u32,
}

/// A clean power-off: the init's, then sync, then the machine's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shutdown {
    /// How long the guest's init and its services may take, in milliseconds, before the agent ends it.
    pub grace_ms: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_text_and_back() {
        let clock = Clock::since_epoch(Duration::new(1_796_000_000, 7));
        assert_eq!(clock.to_string(), "1796000000.000000007");
        assert_eq!(clock.to_string().parse(), Ok(clock));
        for text in [
            "",
            "1",
            "1.",
            "1.5",
            "-1.000000000",
            "1.0000000000",
            "99999999999999999999.000000000",
        ] {
            assert_eq!(text.parse::<Clock>(), Err(InvalidClock), "{text}");
        }
    }
}
