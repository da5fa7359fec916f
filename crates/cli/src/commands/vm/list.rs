//! `banger vm list` and `banger ps`

use banger_api::Vm;
use banger_command::failure::Failure;
use banger_command::{connection, exit, print};

/// List VMs
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger vm list
  banger vm list --json")]
pub(crate) struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Print names only
    #[arg(long, short)]
    quiet: bool,
}

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
    let client = connection::connect().await?;
    let mut vms = client.vms().await?;
    vms.retain(|vm| !only_running || vm.phase.may_have_machine());
    if args.json {
        print::json(&vms)?;
    } else if args.quiet {
        vms.iter().for_each(|vm| print::line(vm.name.as_str()));
    } else {
        print::table(
            &["NAME", "PHASE", "IMAGE", "VCPUS", "MEMORY", "DISK", "VMM", "AGE"],
            vms.iter().map(row),
        );
    }
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
