//! `banger vm set`

use banger_api::VmSet;

use super::shape::Machine;
use crate::failure::Failure;
use crate::values::label;
use crate::{complete, connection, exit, print};

/// Change a VM
///
/// Sizes, VMM and kernel change while it is stopped, and disks only grow. Variables and labels change at once; an empty
/// value removes one.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger vm set web --memory 8G --vcpu 4
  banger vm set web --disk-size 100G
  banger vm set web -e DEBUG=1 -e OLD= --label team=core")]
pub(crate) struct Args {
    #[arg(add = complete::vms())]
    name: String,
    #[command(flatten)]
    machine: Machine,
    /// A variable of every command in it
    #[arg(long, short, value_name = "NAME=VALUE", value_parser = label)]
    env: Vec<(String, String)>,
    /// A label
    #[arg(long, value_name = "NAME=VALUE", value_parser = label)]
    label: Vec<(String, String)>,
}

pub(super) async fn run(args: Args) -> Result<i32, Failure> {
    let client = connection::connect().await?;
    let set = VmSet {
        vcpus: args.machine.vcpu,
        memory: args.machine.memory,
        disk_size: args.machine.disk_size,
        vmm: args.machine.vmm,
        kernel: args.machine.kernel,
        env: args.env.into_iter().collect(),
        labels: args.label.into_iter().collect(),
    };
    let vm = client.set_vm(&args.name, &set).await?;
    print::line(vm.name.as_str());
    Ok(exit::OK)
}
