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
pub(super) async fn running(client: &Client, root: &Path) -> Result<Option<Vm>, Failure> {
    let found = reused(others(client, root).await?).map_err(|names| ambiguous(&names))?;
    let Some(vm) = found else { return Ok(None) };
    let name = vm.name.as_str();
    let vm = match vm.phase {
        Phase::Stopped | Phase::Failed => {
            let request = VmStart::default();
            shown("", async |tell| client.start_vm(name, &request, tell).await).await?
        }
        _ => vm,
    };
    print::say!(
        "using VM {}, whose checkout stays as it is; options for a new VM do not apply",
        vm.name
    );
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
