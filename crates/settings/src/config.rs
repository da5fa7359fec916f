//! The configuration file: what a user may set for all VMs.

mod values;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use banger_api::Paths;
use banger_catalog::Location;
use banger_dns::Upstreams;
use banger_identity::{self as identity, FileSync};
use banger_model::network::{Allow, NetMode, NetworkChoice, Subnet};
use banger_model::{
    ByteSize, CatalogName, Describe, Description, ErrorCode, HostSize, ImageName, KernelName, VmDefaults,
    VmmChoice,
};
use serde::{Deserialize, Serialize};

use self::values::{file_of_user, loopback, public_keys, upstreams};
use crate::repository::{Ceilings, SetCeilings};
use crate::suggestion::suggestion;

/// Where a resolver without privileges may listen; 5353 is multicast DNS.
const DNS_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 5354);

/// `config.toml`. Every key may be absent; a key that does not exist is an error.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Which VMM runs VMs that do not name one.
    pub vmm: VmmChoice,
    /// The image of VMs that do not name one.
    pub default_image: Option<ImageName>,
    /// The kernel of VMs whose image names none.
    pub default_kernel: Option<KernelName>,
    /// Where Firecracker is.
    pub firecracker_bin: Option<PathBuf>,
    /// Where QEMU is.
    pub qemu_bin: Option<PathBuf>,
    /// Sizes of VMs that do not name them.
    pub vm_defaults: Sizes,
    /// Whether VMs have a network.
    pub network: NetworkChoice,
    /// The addresses of VMs; moved out of the way of what the host uses.
    pub subnet: Option<Subnet>,
    /// How many TAPs wait for VMs.
    pub tap_pool_size: u8,
    /// What VMs reach that do not say it.
    pub default_net: NetMode,
    /// Who is asked for names that are not VMs': addresses, with a port if it is another than 53. The host's own when empty.
    #[serde(deserialize_with = "upstreams")]
    pub default_dns: Vec<SocketAddr>,
    /// Where this host's own programs may ask for names, beside the gateway: a loopback address and a port, or `off`.
    #[serde(deserialize_with = "loopback")]
    pub dns_listen: Option<SocketAddr>,
    /// Rules by name, which `--allow @NAME` stands for.
    pub allow: BTreeMap<String, Vec<Allow>>,
    /// Whether work in workspaces is brought back before its VM stops or goes.
    pub auto_export: bool,
    /// Whether commands in guests have the user's proxies.
    pub guest_proxy: bool,
    /// Whether git in guests makes its user's commits.
    pub git_identity: bool,
    /// Files of the host's that go into guests.
    pub file_sync: Vec<FileSync>,
    /// Whether logins of coding agents go without being named.
    pub file_sync_defaults: bool,
    /// Whose the file is; nobody's without one.
    #[serde(skip)]
    pub owner: Option<u32>,
    /// Whom VMs let in by SSH beside the one who has banger's own key: public keys, each a line of OpenSSH's.
    #[serde(deserialize_with = "public_keys")]
    pub ssh_keys: Vec<[u8; 32]>,
    /// The private key that ssh uses for VMs, in place of one that banger makes.
    #[serde(deserialize_with = "file_of_user")]
    pub ssh_key_path: Option<PathBuf>,
    /// How much a pulled image may be.
    pub pull: Limits,
    /// How registries are asked, by `HOST[:PORT]`.
    pub registry: BTreeMap<String, Registry>,
    /// Catalogs of kernels.
    pub catalog: Vec<CatalogEntry>,
    /// How long and how often to try to fetch.
    pub fetch: FetchLimits,
    /// How much of this host a repository may ask for.
    pub repository: SetCeilings,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            vmm: VmmChoice::default(),
            default_image: None,
            default_kernel: None,
            firecracker_bin: None,
            qemu_bin: None,
            vm_defaults: Sizes::default(),
            network: NetworkChoice::default(),
            subnet: None,
            tap_pool_size: 4,
            default_net: NetMode::default(),
            default_dns: Vec::new(),
            dns_listen: Some(DNS_LISTEN),
            allow: BTreeMap::new(),
            auto_export: false,
            guest_proxy: false,
            git_identity: true,
            file_sync: Vec::new(),
            file_sync_defaults: true,
            owner: None,
            ssh_keys: Vec::new(),
            ssh_key_path: None,
            pull: Limits::default(),
            registry: BTreeMap::new(),
            catalog: Vec::new(),
            fetch: FetchLimits::default(),
            repository: SetCeilings::default(),
        }
    }
}

/// `[pull]`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// The most bytes that an image may unpack to.
    pub max_size: ByteSize,
    /// The most entries that an image may have.
    pub max_entries: u64,
    /// The most bytes that each byte of an archive may unpack to, beyond some gigabytes.
    pub max_ratio: u64,
    /// The largest window or dictionary that unpacking may need.
    pub max_window: ByteSize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_size: ByteSize::gib(256),
            max_entries: 4_000_000,
            max_ratio: 200,
            max_window: ByteSize::mib(128),
        }
    }
}

/// `[registry."HOST"]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Registry {
    /// Registries to ask first: `HOST[:PORT]`, or with `http://` in front.
    pub mirrors: Vec<String>,
    /// Trust any certificate, and take plain HTTP.
    pub insecure: bool,
    /// A file of certificates to trust beside the host's.
    pub ca_cert: Option<PathBuf>,
}

/// A `[[catalog]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogEntry {
    /// What it is called here.
    pub name: CatalogName,
    /// Where it is.
    pub location: Location,
    /// Who vouches for it.
    pub key: banger_catalog::PublicKey,
}

/// `[fetch]`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FetchLimits {
    connect_seconds: Option<NonZeroU32>,
    stall_seconds: Option<NonZeroU32>,
    attempts: Option<NonZeroU32>,
}

/// `[vm_defaults]`. What is absent follows the host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sizes {
    vcpus: Option<u32>,
    memory: Option<ByteSize>,
    disk_size: Option<ByteSize>,
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file exists but cannot be read.
    #[error("failed to read the configuration {}", .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is no TOML, or a value or key is wrong.
    #[error("failed to parse the configuration {}", .path.display())]
    Parse {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// The same, with the line.
    #[error("invalid configuration {place}")]
    Invalid {
        /// File and line.
        place: String,
        /// Why.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A value that a key cannot have, or a key that does not exist.
    #[error("failed to set {key} to \"{value}\"")]
    Value {
        /// The key.
        key: String,
        /// The value.
        value: String,
        /// Why.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// No key.
    #[error("invalid configuration key \"{0}\"")]
    Key(String),
    /// The file cannot be written.
    #[error("failed to write the configuration {}", .path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl Config {
    /// What of its user's a guest is to get.
    pub fn identity(&self) -> identity::Wanted<'_> {
        identity::Wanted {
            owner: self.owner,
            own: &self.file_sync,
            defaults: self.file_sync_defaults,
        }
    }

    /// Reads the configuration of `paths`; without a file, the default one.
    pub fn load(paths: &Paths) -> Result<Self, Error> {
        let path = paths.config_file();
        let read = || {
            let file = std::fs::File::open(&path)?;
            let owner = file.metadata()?.uid();
            std::io::read_to_string(file).map(|text| (text, owner))
        };
        match read() {
            Ok((text, owner)) => Ok(Self {
                owner: Some(owner),
                ..Self::parse(&path, &text)?
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(source) => Err(Error::Read { path, source }),
        }
    }

    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self, Error> {
        toml::from_str(text).map_err(|source| Error::Parse {
            path: path.to_owned(),
            source: Box::new(source),
        })
    }

    /// How much of this host a repository may ask for.
    pub fn ceilings(&self) -> Ceilings {
        let host = banger_hostsys::host_size();
        Ceilings::of(self.repository, host, self.sizes(host))
    }

    /// Who is asked for names that are not VMs'.
    pub fn upstreams(&self) -> Upstreams {
        match self.default_dns.is_empty() {
            true => Upstreams::default(),
            false => Upstreams::These(self.default_dns.clone()),
        }
    }

    /// The sizes of a VM that names none, on a host of this size.
    pub fn sizes(&self, host: HostSize) -> VmDefaults {
        let derived = VmDefaults::for_host(host);
        let set = self.vm_defaults;
        VmDefaults {
            vcpus: set.vcpus.unwrap_or(derived.vcpus),
            memory: set.memory.unwrap_or(derived.memory),
            disk_size: set.disk_size.unwrap_or(derived.disk_size),
        }
    }
}

impl FetchLimits {
    /// The limits, with defaults for those that are not set.
    pub fn limits(self) -> banger_fetch::Limits {
        let seconds = |set: Option<NonZeroU32>, default| {
            set.map_or(default, |seconds| Duration::from_secs(seconds.get().into()))
        };
        let default = banger_fetch::Limits::default();
        banger_fetch::Limits {
            connect: seconds(self.connect_seconds, default.connect),
            stall: seconds(self.stall_seconds, default.stall),
            attempts: self.attempts.map_or(default.attempts, NonZeroU32::get),
        }
    }
}

impl Describe for Error {
    fn describe(&self) -> Description {
        match self {
            Self::Read { .. } | Self::Write { .. } => ErrorCode::Host.into(),
            Self::Parse { source, .. } => {
                Description::from(ErrorCode::Host).with_hints(suggestion(source.message()))
            }
            Self::Invalid { source, .. } | Self::Value { source, .. } => {
                Description::from(ErrorCode::InvalidRequest).with_hints(suggestion(source.message()))
            }
            Self::Key(_) => {
                Description::hinted(ErrorCode::InvalidRequest, "`banger config show` lists all keys")
            }
        }
    }
}

#[cfg(test)]
mod tests;
