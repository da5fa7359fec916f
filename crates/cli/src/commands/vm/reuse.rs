//! `banger vm run --reuse`: the VM that has the repository already.

use std::path::Path;

use banger_api::{Vm, VmStart};
use banger_client::Client;
use banger_client::run::{others, reused};
use banger_command::failure::Failure;
use banger_command::work::shown;
use banger_command::{exit, print};
use banger_model::Phase;

/// Finds the VM with the repository at `root`, and starts it if it does not run. `None` if there is no such VM yet.
/// `shapes` says whether the command line has options that only a new VM can follow: they are refused and not dropped.
pub(super) async fn running(client: &Client, root: &Path, shapes: bool) -> Result<Option<Vm>, Failure> {
    let found = reused(others(client, root).await?).map_err(|names| ambiguous(&names))?;
    let Some(vm) = found else { return Ok(None) };
    let name = vm.name.as_str();
    if shapes {
        let message =
            format!("VM {name} already has this repository, and the options of a new VM do not apply to it");
        let change =
            format!("change the VM with `banger vm set {name}`, or leave `--reuse` out for a new VM");
        return Err(Failure::new(message, &[&change]).exiting(exit::USAGE));
    }
    let vm = match vm.phase {
        Phase::Stopped | Phase::Failed => {
            let request = VmStart::default();
            shown("", async |progress| {
                client.start_vm(name, &request, progress).await
            })
            .await?
        }
        _ => vm,
    };
    print::notice!("using VM {}; its checkout stays as it is", vm.name);
    Ok(Some(vm))
}

fn ambiguous(names: &[String]) -> Failure {
    let message = format!("more than one VM has this repository: {}", names.join(", "));
    let hint = names
        .first()
        .map(|name| format!("choose a VM by its name, for example `banger vm shell {name}`"));
    let hints: Vec<&str> = hint.iter().map(String::as_str).collect();
    Failure::new(message, &hints).exiting(exit::USAGE)
}
