//! The command line: one file per command, whose `Args` doc comment is its help.

mod completion;
mod daemon;
mod doctor;
#[cfg(test)]
mod hints;
mod ssh_config;
mod system;
mod trust;
mod version;
mod vm;

use banger_cli_stores::{image, kernel, prune};
use banger_command::exit;
use banger_command::failure::Failure;
use clap::{Parser, Subcommand};

/// A real virtual machine for your repository, in one command
///
/// `cd my-repo && banger vm run` ends in a shell inside a microVM that holds your repository, as a real git
/// checkout at /root/repo. Nothing in there reaches your files.
#[derive(Debug, Parser)]
#[command(name = "banger", version, after_help = after_help(), max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create, run, enter and remove VMs
    #[command(subcommand)]
    Vm(vm::Command),
    /// List VMs that run
    Ps(vm::list::Args),
    /// Pull, import, list and remove images: what VMs have in them
    #[command(subcommand)]
    Image(image::Command),
    /// Import, pull, list, publish and remove kernels: what VMs boot
    #[command(subcommand)]
    Kernel(kernel::Command),
    /// Look after what can be made again
    #[command(subcommand)]
    Cache(Cache),
    /// Start, stop and look at the daemon, which `banger` otherwise does by itself
    #[command(subcommand)]
    Daemon(daemon::Command),
    /// Install, look at and remove the root helper, which gives VMs a network
    #[command(subcommand)]
    System(system::Command),
    SshConfig(ssh_config::Args),
    /// List, show, add and revoke trust: which repositories may shape the VMs that they go into
    #[command(subcommand)]
    Trust(trust::Command),
    /// Examine this host: what is missing, and the command that mends it
    Doctor(doctor::Args),
    /// Tell the versions of banger and of the daemon that runs
    Version(version::Args),
    /// Print a script that completes banger's command lines
    Completion(completion::Args),
}

#[derive(Debug, Subcommand)]
enum Cache {
    /// Remove what can be made again
    Prune(prune::Args),
}

fn after_help() -> String {
    format!(
        "\
The first time:
  banger doctor                                          what this host can run
  banger kernel import debian --package linux-image-cloud-amd64
  mmdebstrap --variant=minbase --include=git bookworm - |
      banger image import --name debian-bookworm -

Every day:
  cd my-repo && banger vm run                            a shell beside your code
  banger vm run --rm -- make test                        a command, its exit code, and nothing left
  banger vm create --name web && banger vm exec web -- uname -a
  banger vm list

{}",
        exit::TABLE
    )
}

/// Runs a command line and gives its exit code.
pub(crate) async fn run(cli: Cli) -> Result<i32, Failure> {
    match cli.command {
        Command::Vm(command) => vm::run(command).await,
        Command::Ps(args) => vm::list::run(args, true).await,
        Command::Image(command) => image::run(command).await,
        Command::Kernel(command) => kernel::run(command).await,
        Command::Cache(Cache::Prune(args)) => prune::run(prune::What::Cache, args).await,
        Command::Daemon(command) => daemon::run(command).await,
        Command::System(command) => system::run(command),
        Command::Trust(command) => trust::run(command).await,
        Command::SshConfig(args) => ssh_config::run(args).await,
        Command::Doctor(args) => doctor::run(args).await,
        Command::Version(args) => version::run(args).await,
        Command::Completion(args) => completion::run(&args),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_teaches() {
        let help = Cli::command().term_width(100).render_long_help().to_string();
        insta::assert_snapshot!(help);
    }

    /// Every command that people see, with its words.
    fn visible(command: &clap::Command, path: &str, all: &mut Vec<(String, clap::Command)>) {
        all.push((path.to_owned(), command.clone()));
        let below = command.get_subcommands();
        for command in below.filter(|command| !command.is_hide_set() && command.get_name() != "help") {
            visible(command, &format!("{path} {}", command.get_name()), all);
        }
    }

    #[test]
    fn every_command_and_every_option_has_help() {
        let mut all = Vec::new();
        visible(&Cli::command(), "banger", &mut all);
        // A walk that finds nothing must not pass.
        for path in [
            "banger vm session attach",
            "banger image catalog add",
            "banger system install",
        ] {
            assert!(
                all.iter().any(|(known, _)| known == path),
                "{path} was not looked at"
            );
        }
        let mut faults = Vec::new();
        for (path, command) in &all {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            let begins_well = about.chars().next().is_some_and(char::is_uppercase);
            if !begins_well || about.ends_with('.') {
                faults.push(format!("{path}: its summary is {about:?}"));
            }
            // `VM` and `IMAGE` speak for themselves; no option does.
            let options = command
                .get_arguments()
                .filter(|argument| !argument.is_positional());
            for argument in options.filter(|argument| !argument.is_hide_set()) {
                let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
                if help.trim().is_empty() {
                    faults.push(format!("{path}: `{}` has no help", argument.get_id()));
                }
            }
            let help = command.clone().term_width(100).render_long_help().to_string();
            // As wide as a terminal may be that shows examples without breaking them.
            let longest = help
                .lines()
                .map(|line| line.chars().count())
                .max()
                .unwrap_or_default();
            if longest > 120 {
                faults.push(format!("{path}: a line of {longest} columns"));
            }
        }
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    }

    #[test]
    fn the_help_of_system_is_as_it_was() {
        let mut cli = Cli::command().term_width(100);
        let system = cli.find_subcommand_mut("system").unwrap();
        insta::assert_snapshot!(system.render_help().to_string());
        for command in ["install", "status", "restart", "uninstall"] {
            let command = system.find_subcommand_mut(command).unwrap();
            insta::assert_snapshot!(command.render_long_help().to_string());
        }
    }

    #[test]
    fn the_help_of_vm_is_as_it_was() {
        let mut cli = Cli::command().term_width(100);
        let vm = cli.find_subcommand_mut("vm").unwrap();
        insta::assert_snapshot!(vm.render_help().to_string());
        let run = vm.find_subcommand_mut("run").unwrap();
        insta::assert_snapshot!(run.render_long_help().to_string());
        insta::assert_snapshot!(
            vm.find_subcommand_mut("ports")
                .unwrap()
                .render_long_help()
                .to_string()
        );
        for command in ["add", "list", "rm"] {
            let forward = vm.find_subcommand_mut("forward").unwrap();
            let command = forward.find_subcommand_mut(command).unwrap();
            insta::assert_snapshot!(command.render_long_help().to_string());
        }
        let egress = vm.find_subcommand_mut("egress").unwrap();
        insta::assert_snapshot!(egress.render_long_help().to_string());
    }
}
