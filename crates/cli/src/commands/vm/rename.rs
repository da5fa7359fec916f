//! `banger vm rename`

use banger_api::VmRename;
use banger_command::failure::Failure;
use banger_command::output::Output;
use banger_command::{complete, connection, exit, print};
use banger_model::VmName;

/// Rename a stopped VM
///
/// Its id, disk, labels, forwards and workspaces stay; hostname, DNS name and SSH name are the new ones from the next
/// start on. Network rules of other VMs that name the VM (`vm:NAME`) are not changed; a note lists these VMs.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger vm rename web frontend
  banger vm stop web && banger vm rename web frontend && banger vm start frontend")]
pub(crate) struct Args {
    /// Name of the VM
    #[arg(add = complete::vms())]
    name: String,
    /// New name
    new: VmName,
    #[command(flatten)]
    output: Output,
}

pub(super) async fn run(args: Args) -> Result<i32, Failure> {
    let client = connection::connect().await?;
    let renamed = client.rename_vm(&args.name, &VmRename { name: args.new }).await?;
    let (old, new) = (&args.name, &renamed.vm.name);
    for vm in &renamed.named_by {
        print::notice(&format!(
            "note: a network rule of VM {vm} allows `vm:{old}`, which is not VM {new}; \
             `banger vm set {vm} --allow vm:{new}` replaces the rules of VM {vm}"
        ));
    }
    args.output
        .print(&renamed, |renamed| print::line(renamed.vm.name.as_str()))?;
    Ok(exit::OK)
}
