//! What a VM is made of, as options that several commands take.

use banger_api::VmCreate;
use banger_model::{ByteSize, ImageName, KernelName, VmName, VmmChoice};

use crate::complete;
use crate::values::{assignment, label};

/// What a VM is made of.
#[derive(Debug, clap::Args)]
pub(super) struct Shape {
    /// Its name; a generated one when absent
    #[arg(long)]
    name: Option<VmName>,
    /// The image it boots
    #[arg(long, add = complete::images())]
    image: Option<ImageName>,
    /// The kernel it boots
    #[arg(long, add = complete::kernels())]
    kernel: Option<KernelName>,
    /// Virtual CPUs
    #[arg(long, visible_alias = "vcpus", value_name = "N")]
    vcpu: Option<u32>,
    /// Memory, such as 4G, 4GiB or 4096M
    #[arg(long, value_name = "SIZE")]
    memory: Option<ByteSize>,
    /// Size of the writable disk, which takes only what is written
    #[arg(long, value_name = "SIZE")]
    disk_size: Option<ByteSize>,
    /// What runs it: auto, firecracker or qemu
    #[arg(long, value_name = "VMM")]
    vmm: Option<VmmChoice>,
    /// A variable of every command in it; NAME alone takes its value here
    #[arg(long, short, value_name = "NAME=VALUE", value_parser = assignment)]
    env: Vec<(String, String)>,
    /// A label
    #[arg(long, value_name = "NAME=VALUE", value_parser = label)]
    label: Vec<(String, String)>,
}

impl Shape {
    /// The request to create such a VM.
    pub(super) fn request(self) -> VmCreate {
        VmCreate {
            name: self.name,
            image: self.image,
            kernel: self.kernel,
            vcpus: self.vcpu,
            memory: self.memory,
            disk_size: self.disk_size,
            vmm: self.vmm,
            env: self.env.into_iter().collect(),
            labels: self.label.into_iter().collect(),
            ..VmCreate::default()
        }
    }
}
