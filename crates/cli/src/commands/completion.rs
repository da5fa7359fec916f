//! `banger completion`

use banger_command::exit;
use banger_command::failure::Failure;
use clap_complete::aot::Shell;
use clap_complete::env::Shells;

/// Print a shell completion script
///
/// The script completes commands and options, and the names of VMs, images and kernels, for which it asks the running
/// daemon.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  source <(banger completion bash)                        enable completion in this shell
  banger completion bash > /etc/bash_completion.d/banger
  banger completion fish > ~/.config/fish/completions/banger.fish")]
pub(crate) struct Args {
    /// Shell to print the script for
    shell: Shell,
}

pub(super) fn run(args: &Args) -> Result<i32, Failure> {
    banger_command::print::text(script(args.shell)?.trim_end());
    Ok(exit::OK)
}

/// `compinit` reads the script from a directory of `$fpath` when a completion is first asked for, as the body of the function
/// `_banger`. Without this, that first completion only defines the completer, and completes nothing.
const ZSH_AUTOLOAD: &str = "\
if [[ \"$funcstack[1]\" = \"_banger\" ]]; then
    _clap_dynamic_completer_banger \"$@\"
fi
";

/// The script of a shell.
pub(super) fn script(shell: Shell) -> Result<String, Failure> {
    let name = shell.to_string();
    let shells = Shells::builtins();
    let completer = shells
        .completer(&name)
        .ok_or_else(|| Failure::new(format!("no completion for shell {name}"), &[]))?;
    let mut script = Vec::new();
    completer
        .write_registration("COMPLETE", "banger", "banger", "banger", &mut script)
        .map_err(|error| Failure::during("failed to write the completion script", &error))?;
    let mut script = String::from_utf8_lossy(&script).into_owned();
    if shell == Shell::Zsh {
        script += ZSH_AUTOLOAD;
    }
    Ok(script)
}
