//! `banger vm show`

use std::collections::BTreeMap;

use banger_api::{Machine, MachineProcess, Vm, VmForward, VmNetwork};
use banger_command::failure::Failure;
use banger_command::output::Output;
use banger_command::print::{self, micros};
use banger_command::{complete, connection, exit};
use banger_model::Stage;

use super::forward::written;

/// Show details of a VM
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger vm show web
  banger vm show web --json")]
pub(crate) struct Args {
    /// Name of the VM
    #[arg(add = complete::vms())]
    name: String,
    #[command(flatten)]
    output: Output,
}

pub(super) async fn run(args: Args) -> Result<i32, Failure> {
    let client = connection::connect().await?;
    let vm = client.vm(&args.name).await?;
    if args.output.json {
        print::json(&vm)?;
    } else {
        show(&vm);
    }
    Ok(exit::OK)
}

fn show(vm: &Vm) {
    let error = vm.last_error.as_ref().map(|error| {
        let parts = std::iter::once(&error.message).chain(&error.causes);
        parts.map(String::as_str).collect::<Vec<_>>().join(": ")
    });
    let mut sections = vec![
        (
            "",
            vec![
                ("name", vm.name.to_string()),
                ("id", vm.id.clone()),
                ("phase", phase(vm)),
                ("created", print::ago(&vm.created)),
                ("on exit", on_exit(vm).to_owned()),
                ("notice", vm.notice.clone().unwrap_or_default()),
                ("failure", error.unwrap_or_default()),
            ],
        ),
        (
            "Resources",
            vec![
                ("image", vm.image.to_string()),
                ("kernel", vm.kernel.to_string()),
                ("vcpus", vm.vcpus.to_string()),
                ("memory", vm.memory.to_string()),
                ("disk", format!("{} of {}", vm.disk_used, vm.disk_size)),
            ],
        ),
        (
            "Network",
            vec![
                ("net", reaches(&vm.network)),
                ("network", network(&vm.network)),
                ("addresses", addresses(&vm.network)),
                ("forwards", forwards(vm)),
            ],
        ),
        (
            "Guest",
            vec![
                ("env", pairs(&vm.env)),
                ("labels", pairs(&vm.labels)),
                ("identity", identity(vm)),
                ("secrets", vm.secrets.join(", ")),
            ],
        ),
    ];
    sections.extend(
        vm.machine
            .as_ref()
            .map(|machine| ("Machine", of_machine(machine))),
    );
    print::sections(&sections);
}

/// The phase of a VM, and the reason if it is paused.
pub(super) fn phase(vm: &Vm) -> String {
    match &vm.paused {
        Some(why) => format!("{}: {why}", vm.phase),
        None => vm.phase.to_string(),
    }
}

const fn on_exit(vm: &Vm) -> &'static str {
    match (vm.unfinished, vm.removes_on_exit) {
        (true, _) => "its creation is not finished",
        (false, true) => "removed with its command",
        (false, false) => "",
    }
}

fn forwards(vm: &Vm) -> String {
    let one = |forward: &VmForward| {
        let why = forward.reason.as_ref().map(|reason| format!(": {reason}"));
        let state = forward.state.as_str();
        format!(
            "{} ({state}{})",
            written(&forward.forward),
            why.unwrap_or_default()
        )
    };
    vm.forwards.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// The host files that were injected into the VM.
fn identity(vm: &Vm) -> String {
    match (vm.anonymous, vm.host_files.is_empty()) {
        (true, true) => "none".to_owned(),
        (true, false) => format!("none; earlier: {}", vm.host_files.join(", ")),
        (false, _) => vm.host_files.join(", "),
    }
}

fn of_machine(machine: &Machine) -> Vec<(&'static str, String)> {
    let of = |text: &Option<String>| text.clone().unwrap_or_default();
    vec![
        ("vmm", format!("{} ({})", machine.vmm, machine.acceleration)),
        ("reason", of(&machine.fallback)),
        ("process", machine.pid.to_string()),
        ("started", print::ago(&machine.started)),
        ("guest", of(&machine.os)),
        ("release", of(&machine.kernel_release)),
        (
            "init",
            format!("{} ({})", of(&machine.init), of(&machine.init_state)),
        ),
        ("confinement", confinement(machine)),
        ("start times", stages(&machine.stages_micros)),
    ]
}

/// The confinement of the machine's processes, as the kernel reports it.
fn confinement(machine: &Machine) -> String {
    let one = |process: &MachineProcess| {
        let privileges = if process.no_new_privs {
            "no new privileges"
        } else {
            "MAY GAIN PRIVILEGES"
        };
        let mut parts = vec![
            format!("seccomp {}", process.seccomp),
            privileges.to_owned(),
            format!("user {}", process.uid),
        ];
        if process.capabilities != 0 {
            parts.push(format!("capabilities {:x}", process.capabilities));
        }
        parts.push(match process.namespaces.is_empty() {
            true => "the host's namespaces".to_owned(),
            false => format!("own namespaces: {}", process.namespaces.join(" ")),
        });
        format!("{} ({})", process.program, parts.join(", "))
    };
    machine.processes.iter().map(one).collect::<Vec<_>>().join("; ")
}

fn stages(took: &BTreeMap<String, u64>) -> String {
    let order = [
        Stage::Plan,
        Stage::Disks,
        Stage::Network,
        Stage::Launch,
        Stage::Kernel,
        Stage::Configure,
    ];
    let known = order
        .iter()
        .filter_map(|stage| Some(format!("{stage} {}", micros(*took.get(stage.as_str())?))));
    known.collect::<Vec<_>>().join(", ")
}

fn reaches(network: &VmNetwork) -> String {
    let parts = std::iter::once(network.mode.to_string()).chain(network.allow.iter().cloned());
    parts.collect::<Vec<_>>().join(", ")
}

/// The network backend and the reason for it; empty if the VM is not running.
fn network(network: &VmNetwork) -> String {
    if let (Some(by), Some(why)) = (&network.by, &network.withdrawn) {
        return format!("{by}; withdrawn, so nothing is reachable: {why}");
    }
    match (&network.by, &network.because) {
        (Some(by), Some(why)) => format!("{by} ({why})"),
        (Some(by), None) => by.clone(),
        (None, Some(why)) => format!("none ({why})"),
        (None, None) => String::new(),
    }
}

fn addresses(network: &VmNetwork) -> String {
    let addresses = network.addresses.iter().map(ToString::to_string);
    addresses.collect::<Vec<_>>().join(" ")
}

fn pairs(pairs: &BTreeMap<String, String>) -> String {
    let pairs = pairs.iter().map(|(name, value)| format!("{name}={value}"));
    pairs.collect::<Vec<_>>().join(" ")
}
