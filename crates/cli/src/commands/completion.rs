//! `banger completion`

use banger_command::exit;
use banger_command::failure::Failure;
use clap_complete::aot::Shell;
use clap_complete::env::Shells;

/// Print a script that completes banger's command lines
///
/// It completes names of VMs, images and kernels too, by asking the daemon that runs.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  source <(banger completion bash)                 this shell
  banger completion bash > /etc/bash_completion.d/banger
  banger completion fish > ~/.config/fish/completions/banger.fish")]
pub(crate) struct Args {
    /// The shell
    shell: Shell,
}

pub(super) fn run(args: &Args) -> Result<i32, Failure> {
    let name = args.shell.to_string();
    let shells = Shells::builtins();
    let completer = shells
        .completer(&name)
        .ok_or_else(|| Failure::new(format!("{name} has no completion"), &[]))?;
    let mut script = Vec::new();
    completer
        .write_registration("COMPLETE", "banger", "banger", "banger", &mut script)
        .map_err(|error| Failure::during("write the script", &error))?;
    banger_command::print::text(String::from_utf8_lossy(&script).trim_end());
    Ok(exit::OK)
}
