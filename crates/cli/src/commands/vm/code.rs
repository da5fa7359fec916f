//! `banger vm code`

use std::os::unix::process::CommandExt;
use std::process::Command;

use banger_api::WORKSPACE_LABEL;
use banger_command::failure::Failure;
use banger_command::{complete, connection};

use crate::commands::ssh_config;
use crate::ssh::{ZONE, on_path};

/// Open a VM in VS Code
///
/// Opens PATH, or the repository that `vm run` copied into the VM, with VS Code's Remote - SSH extension. Run `banger
/// ssh-config --install` once before.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger vm code web
  banger vm code web /srv/app")]
pub(crate) struct Args {
    /// Name of the VM
    #[arg(add = complete::vms())]
    name: String,
    /// Path in the VM to open; the VM's repository or /root if omitted
    path: Option<String>,
}

pub(super) async fn run(args: Args) -> Result<i32, Failure> {
    let code = on_path("code").ok_or_else(|| {
        Failure::new(
            "VS Code not found: there is no `code` on PATH",
            &["install VS Code, and run its command `Shell Command: Install 'code' command in PATH`"],
        )
    })?;
    if !ssh_config::is_installed()? {
        return Err(Failure::new(
            "ssh is not configured for VMs, and VS Code needs ssh",
            &["configure ssh with `banger ssh-config --install`"],
        ));
    }
    let vm = connection::connect().await?.vm(&args.name).await?;
    let path = args
        .path
        .or_else(|| vm.labels.get(WORKSPACE_LABEL).cloned())
        .unwrap_or_else(|| "/root".to_owned());
    let failed = Command::new(code)
        .arg("--remote")
        .arg(format!("ssh-remote+{}{ZONE}", vm.name))
        .arg(path)
        .exec();
    Err(Failure::during("failed to run code", &failed))
}
