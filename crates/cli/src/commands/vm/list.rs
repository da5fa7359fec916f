//! `banger vm list` and `banger ps`

use banger_api::Vm;
use banger_command::failure::Failure;
use banger_command::list::{Key, Listing, Options, labels};
use banger_command::{connection, exit, print};

/// List VMs
///
/// Keys of --filter: name, id, phase, image, kernel, vmm, net, label, repository.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger vm list
  banger vm list --filter phase=running --filter label=team=core
  banger vm list --format '{{ name }} {{ memory | size }} {{ created | age }}'")]
pub(crate) struct Args {
    #[command(flatten)]
    list: Options,
}

const VMS: Listing<Vm> = Listing {
    keys: &[
        Key {
            name: "name",
            values: |vm| vec![vm.name.to_string()],
        },
        Key {
            name: "id",
            values: |vm| vec![vm.id.clone()],
        },
        Key {
            name: "phase",
            values: |vm| vec![vm.phase.to_string()],
        },
        Key {
            name: "image",
            values: |vm| vec![vm.image.to_string()],
        },
        Key {
            name: "kernel",
            values: |vm| vec![vm.kernel.to_string()],
        },
        Key {
            name: "vmm",
            values: |vm| vm.machine.iter().map(|machine| machine.vmm.to_string()).collect(),
        },
        Key {
            name: "net",
            values: |vm| vec![vm.network.mode.to_string()],
        },
        Key {
            name: "label",
            values: |vm| labels(vm.labels.iter()),
        },
        Key {
            name: "repository",
            values: |vm| vm.repository.clone().into_iter().collect(),
        },
    ],
    header: &["NAME", "PHASE", "IMAGE", "VCPUS", "MEMORY", "DISK", "VMM", "AGE"],
    name: |vm| vm.name.to_string(),
    row,
};

/// The options of `banger ps`.
#[derive(Debug, clap::Args)]
pub(crate) struct PsArgs {
    /// List all VMs, including those that are not running
    #[arg(long, short)]
    all: bool,
    #[command(flatten)]
    list: Args,
}

pub(crate) async fn ps(args: PsArgs) -> Result<i32, Failure> {
    list(args.list, !args.all).await
}

pub(crate) async fn run(args: Args) -> Result<i32, Failure> {
    list(args, false).await
}

async fn list(args: Args, only_running: bool) -> Result<i32, Failure> {
    let plan = args.list.plan(VMS)?;
    let client = connection::connect().await?;
    let mut vms = client.vms().await?;
    vms.retain(|vm| !only_running || vm.phase.may_have_machine());
    plan.print(vms)?;
    Ok(exit::OK)
}

fn row(vm: &Vm) -> Vec<String> {
    let vmm = vm
        .machine
        .as_ref()
        .map(|machine| format!("{} ({})", machine.vmm, machine.acceleration));
    vec![
        vm.name.to_string(),
        super::show::phase(vm),
        vm.image.to_string(),
        vm.vcpus.to_string(),
        vm.memory.to_string(),
        format!("{} of {}", vm.disk_used, vm.disk_size),
        vmm.unwrap_or_else(|| "-".to_owned()),
        print::age(&vm.created),
    ]
}
