//! `banger vm set`

use std::time::Duration;

use banger_api::{Vm, VmSet, VmStart, VmStop};
use banger_client::Client;
use banger_command::failure::Failure;
use banger_command::output::Output;
use banger_command::progress::Display;
use banger_command::reach::Net;
use banger_command::values::label;
use banger_command::{complete, connection, exit, print};
use banger_model::network::NetMode;

use super::shape::Machine;

/// Time for a guest's init to shut down.
const GRACE: Duration = Duration::from_secs(30);

/// Change the configuration of a VM
///
/// Size, VMM and kernel can only change while the VM is stopped; --restart stops and starts it. Disks can only grow.
/// Other changes apply immediately. An empty value removes a variable or a label; --allow replaces all rules of the VM.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger vm set web --memory 8G --vcpu 4 --restart
  banger vm set web --disk-size 100G
  banger vm set web --net allow --allow '*.example.org' --allow 10.0.0.5:5432
  banger vm set web -e DEBUG=1 -e OLD= --label team=core")]
pub(crate) struct Args {
    /// Name of the VM
    #[arg(add = complete::vms())]
    name: String,
    #[command(flatten)]
    machine: Machine,
    #[command(flatten)]
    net: Net,
    /// Allow access to the public Internet, or to nothing; same as `--net nat` and `--net off`
    #[arg(long, value_name = "ON|OFF", conflicts_with = "net", value_parser = ["on", "off"])]
    nat: Option<String>,
    /// Remove all rules that allow destinations
    #[arg(long, conflicts_with = "allow")]
    no_allow: bool,
    /// Inject your files (`file_sync`) and your git identity from the next start on, or neither
    #[arg(long, value_name = "ON|OFF", value_parser = ["on", "off"])]
    identity: Option<String>,
    /// Environment variable of every command in the VM; an empty value removes it; repeatable
    #[arg(long, short, value_name = "NAME=VALUE", value_parser = label)]
    env: Vec<(String, String)>,
    /// Label of the VM; an empty value removes it; repeatable
    #[arg(long, value_name = "NAME=VALUE", value_parser = label)]
    label: Vec<(String, String)>,
    /// Stop and start the VM if a change requires it
    #[arg(long)]
    restart: bool,
    #[command(flatten)]
    output: Output,
}

pub(super) async fn run(args: Args) -> Result<i32, Failure> {
    let client = connection::connect().await?;
    let (net, allow) = args.net.change();
    let nat = args.nat.map(|nat| match &*nat {
        "on" => NetMode::Nat,
        _ => NetMode::Off,
    });
    let set = VmSet {
        net: net.or(nat),
        allow: allow.or(args.no_allow.then(Vec::new)),
        vcpus: args.machine.vcpu,
        memory: args.machine.memory,
        disk_size: args.machine.disk_size,
        vmm: args.machine.vmm,
        kernel: args.machine.kernel,
        anonymous: args.identity.map(|identity| identity == "off"),
        env: args.env.into_iter().collect(),
        labels: args.label.into_iter().collect(),
    };
    let vm = apply(&client, &args.name, &set, args.restart).await?;
    args.output.print(&vm, |vm| print::line(vm.name.as_str()))?;
    Ok(exit::OK)
}

/// Changes a VM, with a restart if that is needed and allowed.
pub(super) async fn apply(client: &Client, name: &str, set: &VmSet, restart: bool) -> Result<Vm, Failure> {
    match client.set_vm(name, set).await.map_err(Failure::from) {
        Err(failure) if restart && failure.is_of_phase() => stopped(client, name, set).await,
        changed => changed,
    }
}

/// Stops a VM, changes it, and starts it again, even if the change fails.
async fn stopped(client: &Client, name: &str, set: &VmSet) -> Result<Vm, Failure> {
    let mut display = Display::new("");
    display.now(&format!("stopping {name}"));
    let grace_ms = u64::try_from(GRACE.as_millis()).unwrap_or(u64::MAX);
    client.stop_vm(name, &VmStop { grace_ms }).await?;
    let changed = client.set_vm(name, set).await;
    let started = client
        .start_vm(name, &VmStart::default(), |progress| display.show(&progress))
        .await;
    let vm = changed?;
    started?;
    Ok(vm)
}
