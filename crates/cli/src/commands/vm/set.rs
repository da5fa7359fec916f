//! `banger vm set`

use std::time::Duration;

use banger_api::{Vm, VmSet, VmStart, VmStop};
use banger_client::Client;
use banger_command::failure::Failure;
use banger_command::progress::Display;
use banger_command::reach::Net;
use banger_command::values::label;
use banger_command::{complete, connection, exit, print};
use banger_model::network::NetMode;

use super::shape::Machine;

/// How long a guest's init may take to stop.
const GRACE: Duration = Duration::from_secs(30);

/// Change a VM
///
/// Sizes, VMM and kernel change while it is stopped (`--restart` stops it and starts it again), and disks only grow. Variables, labels and what it reaches change at
/// once; an empty value removes a variable or label, and `--allow` replaces all rules that there were.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger vm set web --memory 8G --vcpu 4 --restart
  banger vm set web --disk-size 100G
  banger vm set web --net allow --allow '*.example.org' --allow 10.0.0.5:5432
  banger vm set web -e DEBUG=1 -e OLD= --label team=core")]
pub(crate) struct Args {
    #[arg(add = complete::vms())]
    name: String,
    #[command(flatten)]
    machine: Machine,
    #[command(flatten)]
    net: Net,
    /// Let it reach the public Internet, or nothing
    #[arg(long, value_name = "ON|OFF", conflicts_with = "net", value_parser = ["on", "off"])]
    nat: Option<String>,
    /// Remove all rules of what it may reach
    #[arg(long, conflicts_with = "allow")]
    no_allow: bool,
    /// Give it your files (`file_sync`) and whose commits git makes at its next start, or neither
    #[arg(long, value_name = "ON|OFF", value_parser = ["on", "off"])]
    identity: Option<String>,
    /// A variable of every command in it
    #[arg(long, short, value_name = "NAME=VALUE", value_parser = label)]
    env: Vec<(String, String)>,
    /// A label
    #[arg(long, value_name = "NAME=VALUE", value_parser = label)]
    label: Vec<(String, String)>,
    /// Stop it and start it again where the change needs that
    #[arg(long)]
    restart: bool,
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
    let vm = match client.set_vm(&args.name, &set).await.map_err(Failure::from) {
        Err(failure) if args.restart && failure.is_of_phase() => stopped(&client, &args.name, &set).await?,
        changed => changed?,
    };
    print::line(vm.name.as_str());
    Ok(exit::OK)
}

/// Changes a VM while it is stopped for that. It is started again also when it could not be changed.
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
