//! Options for the specification of a VM that several commands share.

use banger_api::VmCreate;
use banger_command::complete;
use banger_command::reach::Reach;
use banger_command::secrets::Secrets;
use banger_command::values::label;
use banger_command::variables::Variables;
use banger_model::{ByteSize, Forward, ImageName, KernelName, Publish, VmName, VmmChoice};

/// Size, VMM and kernel of a VM.
#[derive(Debug, clap::Args)]
pub(super) struct Machine {
    /// Number of virtual CPUs
    #[arg(long, visible_alias = "vcpus", value_name = "N")]
    pub(super) vcpu: Option<u32>,
    /// Memory size, such as 4G, 4GiB or 4096M
    #[arg(long, value_name = "SIZE")]
    pub(super) memory: Option<ByteSize>,
    /// Size of the writable disk, such as 20G; only written data uses space on this host
    #[arg(long, value_name = "SIZE")]
    pub(super) disk_size: Option<ByteSize>,
    /// VMM to run the VM: auto, firecracker or qemu
    #[arg(long, value_name = "VMM")]
    pub(super) vmm: Option<VmmChoice>,
    /// Name of the kernel to boot
    #[arg(long, add = complete::kernels())]
    pub(super) kernel: Option<KernelName>,
}

/// The specification of a VM.
#[derive(Debug, clap::Args)]
pub(super) struct Shape {
    /// Name of the VM; generated if omitted
    #[arg(long)]
    name: Option<VmName>,
    /// Name of the image to boot
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
    /// Do not inject your files (`file_sync`) and your git identity
    #[arg(long)]
    no_identity: bool,
    /// Label of the VM; repeatable
    #[arg(long, value_name = "NAME=VALUE", value_parser = label)]
    label: Vec<(String, String)>,
    /// Guest port to publish on this host, such as 8080:80, or :80 for a free host port; listens on loopback unless
    /// ADDR is given; repeatable
    #[arg(long, short, value_name = "[ADDR:]HOST:GUEST[/udp]")]
    publish: Vec<Publish>,
    /// Allow other hosts to connect to ports published on an ADDR that is not loopback
    #[arg(long, requires = "publish")]
    open: bool,
}

impl Shape {
    /// The request that creates the VM.
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
