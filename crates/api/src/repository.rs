//! What a repository asks of the VM that it goes into.

use std::collections::BTreeMap;
use std::path::PathBuf;

use banger_model::network::NetMode;
use banger_model::{ByteSize, Forward, ImageName, KernelName, Publish};
use serde::{Deserialize, Serialize};

use crate::VmCreate;

/// Asks what the repository around a path wants, of a VM that is to be made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WishesQuery {
    /// An absolute path in a git work tree on the host.
    #[schema(value_type = String)]
    pub path: PathBuf,
    /// As `VmCreate` will have it: tools need a network, and without one there is nothing to trust for them.
    #[serde(default)]
    pub net: Option<NetMode>,
    /// As `VmCreate` will have it.
    #[serde(default)]
    pub allow: Vec<String>,
    /// The VM will be made without `bootstrap`: its tools are not installed.
    #[serde(default)]
    pub no_bootstrap: bool,
}

/// What a repository asks of the VM that it goes into, by `banger.toml` or else `devcontainer.json`, and by the files in
/// which it names its tools. What is absent is not asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub struct Wishes {
    /// The file that says so, below the top of the repository.
    pub source: Option<String>,
    /// The image.
    pub image: Option<WishedImage>,
    /// The kernel.
    #[schema(value_type = Option<String>)]
    pub kernel: Option<KernelName>,
    /// Virtual CPUs.
    pub vcpus: Option<u32>,
    /// Memory.
    #[schema(value_type = Option<u64>)]
    pub memory: Option<ByteSize>,
    /// Size of the writable disk.
    #[schema(value_type = Option<u64>)]
    pub disk_size: Option<ByteSize>,
    /// Variables of every command.
    pub env: BTreeMap<String, String>,
    /// How much of the network.
    pub net: Option<NetMode>,
    /// Rules beside that; only names and public addresses.
    pub allow: Vec<String>,
    /// Ports to publish at loopback addresses.
    pub ports: Vec<Publish>,
    /// What is run in the checkout, as root, when the tools are there.
    pub post_create: Vec<Vec<String>>,
    /// Names of secrets that its user may give.
    pub secrets: Vec<String>,
    /// Files that name tools, below the top of the repository.
    pub tools: Vec<String>,
    /// Sentences on what the file says and is not done.
    pub notes: Vec<String>,
    /// The top of the repository.
    #[schema(value_type = Option<String>)]
    pub root: Option<PathBuf>,
    /// The digest of all files by which it asks for something; absent when it asks for nothing.
    pub digest: Option<String>,
    /// Whether its user trusts this configuration.
    pub trusted: bool,
    /// Whether its user has to be asked before the VM is made: this configuration is not trusted, and it asks for more than the VM
    /// would have without it. A client shows it, and with a yes trusts it (`POST /v1/trust`) and names it in `VmCreate`; with a no, or
    /// where there is nothing to ask, it names none.
    pub needs_trust: bool,
    /// How much of the network a VM reaches that nobody says it of.
    pub default_net: NetMode,
}

/// An image that a repository asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct WishedImage {
    /// As the file has it: a name here, or where a registry has it.
    pub text: String,
    /// The reference in full, as [`banger_model::ImageOrigin`] has it.
    pub reference: String,
    /// What it is called here when it is pulled.
    #[schema(value_type = String)]
    pub name: ImageName,
    /// The image here that it is; it has to be pulled when absent. A VM that is made by the repository and names no image gets this one.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub here: Option<ImageName>,
    /// Whether another image here has the name, so that it cannot be pulled by that name: `VmCreate` has to name an image.
    #[serde(default)]
    pub taken: bool,
}

impl Wishes {
    /// Whether it asks for anything but tools.
    #[must_use]
    pub fn shapes(&self) -> bool {
        self.image.is_some()
            || self.kernel.is_some()
            || self.vcpus.is_some()
            || self.memory.is_some()
            || self.disk_size.is_some()
            || self.net.is_some()
            || !self.env.is_empty()
            || !self.allow.is_empty()
            || !self.ports.is_empty()
            || !self.post_create.is_empty()
    }

    /// Fills what a request leaves open, but for the image, which is looked for in the store.
    pub fn fill(&self, request: &mut VmCreate) {
        request.kernel = request.kernel.take().or_else(|| self.kernel.clone());
        request.vcpus = request.vcpus.or(self.vcpus);
        request.memory = request.memory.or(self.memory);
        request.disk_size = request.disk_size.or(self.disk_size);
        for (name, value) in &self.env {
            let entry = request.env.entry(name.clone());
            entry.or_insert_with(|| value.clone());
        }
        // Who says how much of the network a VM reaches means all of it.
        if request.net.is_none() && request.allow.is_empty() {
            request.net = self.net;
            request.allow.clone_from(&self.allow);
        }
        let asked = self.ports.iter().copied().filter(|port| {
            let is_same = |forward: &Forward| {
                matches!(forward, Forward::Publish(own)
                if own.guest_port == port.guest_port && own.protocol == port.protocol)
            };
            !request.forwards.iter().any(is_same)
        });
        let asked: Vec<Forward> = asked.map(Forward::Publish).collect();
        request.forwards.extend(asked);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_command_line_says_goes_before() {
        let wishes = Wishes {
            vcpus: Some(8),
            memory: Some(ByteSize::gib(8)),
            env: BTreeMap::from([("A".into(), "theirs".into()), ("B".into(), "theirs".into())]),
            net: Some(NetMode::Nat),
            ports: vec!["8080:80".parse().unwrap(), "3000:3000".parse().unwrap()],
            ..Wishes::default()
        };
        let mut request = VmCreate {
            vcpus: Some(1),
            env: BTreeMap::from([("A".into(), "mine".into())]),
            allow: vec!["example.com".into()],
            forwards: vec![Forward::Publish("9090:80".parse().unwrap())],
            ..VmCreate::default()
        };
        wishes.fill(&mut request);
        assert_eq!((request.vcpus, request.memory), (Some(1), Some(ByteSize::gib(8))));
        assert_eq!((&*request.env["A"], &*request.env["B"]), ("mine", "theirs"));
        assert_eq!((request.net, request.allow.len()), (None, 1));
        let forwards: Vec<String> = request.forwards.iter().map(ToString::to_string).collect();
        assert_eq!(forwards, ["9090:80", "3000:3000"]);
    }
}
