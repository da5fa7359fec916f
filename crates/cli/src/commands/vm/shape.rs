//! What a VM is made of, as options that several commands take.

use banger_api::VmCreate;
use banger_command::complete;
use banger_command::reach::Reach;
use banger_command::secrets::Secrets;
use banger_command::values::label;
use banger_command::variables::Variables;
use banger_model::{ByteSize, Forward, ImageName, KernelName, Publish, VmName, VmmChoice};

/// How large a VM is, and what it boots and runs by.
#[derive(Debug, clap::Args)]
pub(super) struct Machine {
    /// Virtual CPUs
    #[arg(long, visible_alias = "vcpus", value_name = "N")]
    pub(super) vcpu: Option<u32>,
    /// Memory, such as 4G, 4GiB or 4096M
    #[arg(long, value_name = "SIZE")]
    pub(super) memory: Option<ByteSize>,
    /// Size of the writable disk, which takes only what is written
    #[arg(long, value_name = "SIZE")]
    pub(super) disk_size: Option<ByteSize>,
    /// What runs it: auto, firecracker or qemu
    #[arg(long, value_name = "VMM")]
    pub(super) vmm: Option<VmmChoice>,
    /// The kernel it boots
    #[arg(long, add = complete::kernels())]
    pub(super) kernel: Option<KernelName>,
}

/// What a VM is made of.
#[derive(Debug, clap::Args)]
pub(super) struct Shape {
    /// Its name; a generated one when absent
    #[arg(long)]
    name: Option<VmName>,
    /// The image it boots
    #[arg(long, add = complete::images())]
    image: Option<ImageName>,
    #[command(flatten)]
    reach: Reach,
    #[command(flatten)]
    machine: Machine,
    #[command(flatten)]
    variables: Variables,
    #[command(flatten)]
    pub(super) secrets: Secrets,
    /// Leave your files (`file_sync`) and whose commits git makes here
    #[arg(long)]
    no_identity: bool,
    /// A label
    #[arg(long, value_name = "NAME=VALUE", value_parser = label)]
    label: Vec<(String, String)>,
    /// A port of it that this host has, such as 8080:80, or :80 for a free one; at the loopback addresses unless ADDR is
    /// given
    #[arg(long, short, value_name = "[ADDR:]HOST:GUEST[/udp]")]
    publish: Vec<Publish>,
    /// Other hosts may connect to published ports whose ADDR is beyond loopback
    #[arg(long, requires = "publish")]
    open: bool,
}

impl Shape {
    /// The request to create such a VM.
    pub(super) fn request(self) -> VmCreate {
        VmCreate {
            name: self.name,
            image: self.image,
            kernel: self.machine.kernel,
            vcpus: self.machine.vcpu,
            memory: self.machine.memory,
            disk_size: self.machine.disk_size,
            vmm: self.machine.vmm,
            env: self.variables.all(),
            labels: self.label.into_iter().collect(),
            net: self.reach.mode(),
            allow: self.reach.rules(),
            forwards: self.publish.into_iter().map(Forward::Publish).collect(),
            open: self.open,
            anonymous: self.no_identity,
            ..VmCreate::default()
        }
    }
}
