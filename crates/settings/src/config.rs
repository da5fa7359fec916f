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
use utoipa::ToSchema;

use self::values::{file_of_user, loopback, public_keys, upstreams};
use crate::repository::{Ceilings, SetCeilings};
use crate::suggestion::suggestion;

/// Where a resolver without privileges may listen; 5353 is multicast DNS.
const DNS_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 5354);

/// `config.toml`. Every key may be absent; a key that does not exist is an error.
///
/// The types of this file are also the reference of its keys: `docs/configuration.md` and `banger config show` are made from
/// their doc comments and `#[schema]` attributes ([`crate::reference`]).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// VMM of VMs that name none. `auto` is Firecracker where KVM works, else QEMU.
    #[schema(default = "auto")]
    pub vmm: VmmChoice,
    /// Image of VMs that name none.
    #[schema(value_type = String, format = "image name", example = "debian-bookworm",
        extensions(("x-default" = json!("what `banger image default` shows"))))]
    pub default_image: Option<ImageName>,
    /// Kernel of VMs that name none and whose image names none.
    #[schema(value_type = String, format = "kernel name", example = "debian",
        extensions(("x-default" = json!("what `banger kernel default` shows"))))]
    pub default_kernel: Option<KernelName>,
    /// Path of Firecracker.
    #[schema(value_type = String, format = "path", example = "/opt/fc/firecracker",
        extensions(("x-default" = json!("searched ([environment.md](environment.md#variables-of-banger))")),
            ("x-variable" = json!("BANGER_FIRECRACKER"))))]
    pub firecracker_bin: Option<PathBuf>,
    /// Path of QEMU.
    #[schema(value_type = String, format = "path", example = "/opt/qemu/bin/qemu-system-x86_64",
        extensions(("x-default" = json!("searched")), ("x-variable" = json!("BANGER_QEMU"))))]
    pub qemu_bin: Option<PathBuf>,
    /// Network backend ([networking.md](networking.md#choose-the-network-backend)).
    #[schema(default = "auto")]
    pub network: NetworkChoice,
    /// Addresses of VMs. Another block is used, and a note printed, when the host uses this one. With the root helper, the block
    /// must lie in the helper's range.
    #[schema(value_type = String, format = "IPv4 block, /16 to /29, private", example = "10.66.0.0/24",
        extensions(("x-default" = json!("`\"172.16.0.0/24\"`, or the next free block"))))]
    pub subnet: Option<Subnet>,
    /// TAP devices that are made in advance.
    #[schema(default = 4, maximum = 64, example = 0)]
    pub tap_pool_size: u8,
    /// Network mode of VMs that name none.
    #[schema(default = "off")]
    pub default_net: NetMode,
    /// Upstream resolvers for names that are not VM names. The default is the host's resolvers.
    #[serde(deserialize_with = "upstreams")]
    #[schema(value_type = Vec<String>, default = json!([]), example = json!(["9.9.9.9", "[2620:fe::fe]:53"]),
        format = "addresses, each with an optional port")]
    pub default_dns: Vec<SocketAddr>,
    /// Where programs of the host can ask for VM names, in addition to the gateway.
    #[serde(deserialize_with = "loopback")]
    #[schema(value_type = String, format = "loopback address with port, or `\"off\"`", default = "127.0.0.1:5354", example = "off")]
    pub dns_listen: Option<SocketAddr>,
    /// Pull unsaved work from workspaces before a VM is stopped or deleted.
    #[schema(default = false, example = true)]
    pub auto_export: bool,
    /// Commands in VMs have your proxies: `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy`, in either case
    /// ([environment.md](environment.md#variables-in-a-guest)).
    #[schema(default = false, example = true)]
    pub guest_proxy: bool,
    /// Commits in guests have the host's `user.name` and `user.email`.
    #[schema(default = true, example = false)]
    pub git_identity: bool,
    /// Inject the logins of coding agents ([identity.md](identity.md#files)).
    #[schema(default = true, example = false)]
    pub file_sync_defaults: bool,
    /// Private key (ed25519) that `banger vm ssh` and `ssh-config` use. Only its public half is read, from the `.pub` file beside it
    /// if there is one. Repeat `banger ssh-config --install` after a change.
    #[serde(deserialize_with = "file_of_user")]
    #[schema(value_type = String, format = "path that begins with `/` or `~/`", example = "~/.ssh/id_ed25519",
        extensions(("x-default" = json!("a key that banger makes"))))]
    pub ssh_key_path: Option<PathBuf>,
    /// Additional keys that may log in to VMs by SSH.
    #[serde(deserialize_with = "public_keys")]
    #[schema(value_type = Vec<String>, default = json!([]),
        example = json!(["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me@laptop"]),
        format = "OpenSSH public keys (ed25519)")]
    pub ssh_keys: Vec<[u8; 32]>,
    /// The user who owns the file; nobody without a file.
    #[serde(skip)]
    pub owner: Option<u32>,
    /// Sizes of VMs that name none.
    #[schema(default = json!({}))]
    pub vm_defaults: Sizes,
    /// Presets of network rules. Each key is a name that you choose, and its value a list of rules; `--allow @NAME` stands for all of
    /// them. [networking.md](networking.md#rules) has the syntax of a rule.
    ///
    /// ```toml
    /// [allow]
    /// mirrors = ["*.example.org", "example.net:443"]
    /// ```
    #[schema(value_type = BTreeMap<String, Vec<String>>, default = json!({}))]
    pub allow: BTreeMap<String, Vec<Allow>>,
    /// Files of the host that are copied into guests.
    #[schema(default = json!([]))]
    pub file_sync: Vec<FileSync>,
    /// The most that a repository may ask for.
    #[schema(default = json!({}))]
    pub repository: SetCeilings,
    /// Bounds of images.
    #[schema(default = json!({}))]
    pub pull: Limits,
    /// How registries are asked, by `HOST[:PORT]`.
    #[schema(default = json!({}))]
    pub registry: BTreeMap<String, Registry>,
    /// Limits of downloads.
    #[schema(default = json!({}))]
    pub fetch: FetchLimits,
    /// Catalogs of kernels and images.
    #[schema(default = json!([]))]
    pub catalog: Vec<CatalogEntry>,
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

/// Bounds of images that are pulled, imported or unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Most bytes that an image may unpack to.
    #[schema(value_type = String, format = "size", default = "256GiB", example = "64GiB")]
    pub max_size: ByteSize,
    /// Most files, directories and links of an image.
    #[schema(default = 4_000_000, example = 8_000_000)]
    pub max_entries: u64,
    /// Most bytes that each byte of an archive may unpack to, beyond 4 GiB.
    #[schema(default = 200, example = 500)]
    pub max_ratio: u64,
    /// Largest window or dictionary of xz, lzma and zstd.
    #[schema(value_type = String, format = "size", default = "128MiB", example = "256MiB")]
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

/// How one registry is asked. `HOST` is the host of references, with its port if there is one (`localhost:5000`).
///
/// ```toml
/// [registry."registry.example"]
/// mirrors = ["mirror.example:5000", "http://cache.example"]
/// ca_cert = "/etc/ssl/our-ca.pem"
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Registry {
    /// Registries that are asked first, in this order.
    #[schema(default = json!([]), example = json!(["mirror.example:5000"]),
        format = "`HOST[:PORT]`, each optionally with `http://`")]
    pub mirrors: Vec<String>,
    /// Accept any certificate, and plain HTTP (as `--insecure`).
    #[schema(default = false, example = true)]
    pub insecure: bool,
    /// PEM file of certificates to trust in addition to the host's (as `--ca-cert`).
    #[schema(value_type = String, format = "path", example = "/etc/ssl/our-ca.pem")]
    pub ca_cert: Option<PathBuf>,
}

/// A catalog of kernels and images ([kernel-catalog.md](kernel-catalog.md)). The section may be repeated. `banger kernel catalog add`
/// stores the same keys in `catalogs.toml`.
///
/// ```toml
/// [[catalog]]
/// name = "team"
/// location = "https://kernels.example/v1/"
/// key = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3"
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CatalogEntry {
    /// Name of the catalog on this host.
    #[schema(value_type = String, format = "catalog name", example = "team")]
    pub name: CatalogName,
    /// Location of `catalog.json`, or of its directory.
    #[schema(value_type = String, format = "URL (http or https) or path", example = "/srv/kernels")]
    pub location: Location,
    /// Key that signs the catalog. Get it from another place than the catalog.
    #[schema(value_type = String, format = "minisign public key",
        example = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3")]
    pub key: banger_catalog::PublicKey,
}

/// Time limits of downloads from registries and catalogs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FetchLimits {
    /// Seconds until a connection must be established.
    #[schema(value_type = u32, minimum = 1, default = 10, example = 5)]
    connect_seconds: Option<NonZeroU32>,
    /// Seconds without new bytes before a download is retried.
    #[schema(value_type = u32, minimum = 1, default = 30, example = 120)]
    stall_seconds: Option<NonZeroU32>,
    /// Attempts without progress before a download fails.
    #[schema(value_type = u32, minimum = 1, default = 5, example = 10)]
    attempts: Option<NonZeroU32>,
}

/// Sizes of VMs that do not name them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Sizes {
    /// Virtual CPUs.
    #[schema(value_type = u32, example = 2, extensions(("x-default" = json!("a quarter of the host's CPUs, 1 to 4"))))]
    vcpus: Option<u32>,
    /// Memory.
    #[schema(value_type = String, format = "size", example = "4G",
        extensions(("x-default" = json!("an eighth of the host's memory, 512 MiB to 8 GiB"))))]
    memory: Option<ByteSize>,
    /// Size of the writable disk. The disk is sparse: it uses space on the host only for data that the VM wrote.
    #[schema(value_type = String, format = "size", example = "40G", extensions(("x-default" = json!("`\"8G\"`"))))]
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
