//! The command line: one file per command, whose `Args` doc comment is its help.

mod completion;
mod config;
mod daemon;
mod doctor;
#[cfg(test)]
mod hints;
#[cfg(test)]
mod json;
#[cfg(test)]
mod links;
mod man;
mod setup;
mod ssh_config;
mod system;
mod trust;
mod version;
mod vm;

use banger_cli_stores::{image, kernel, prune};
use banger_command::exit;
use banger_command::failure::Failure;
use banger_command::named::Named;
use clap::{Parser, Subcommand};

/// Run a microVM for your repository with one command
///
/// `cd my-repo && banger vm run` creates a microVM, puts a git checkout of your repository at /root/repo, and opens a
/// shell there. The VM has no access to your files.
#[derive(Debug, Parser)]
#[command(name = "banger", version, after_help = after_help(), max_term_width = 100, args_override_self = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create, run, inspect and remove VMs
    #[command(subcommand)]
    Vm(Named<vm::Command>),
    Run(Named<vm::run::Args>),
    Exec(Named<vm::exec::Args>),
    Shell(Named<vm::shell::Args>),
    Logs(Named<vm::logs::Args>),
    Cp(Named<vm::cp::Args>),
    /// List running VMs
    #[command(after_help = "\
Examples:
  banger ps
  banger ps --all                                list all VMs, as `banger vm list` does
  banger ps --quiet                              print names only")]
    Ps(Named<vm::list::PsArgs>),
    Rm(Named<vm::delete::Args>),
    Pull(Named<image::PullArgs>),
    /// List images
    #[command(after_help = "\
Examples:
  banger images
  banger images --filter name=debian*            as `banger image list` does")]
    Images(Named<image::ListArgs>),
    /// Manage images, the root file systems of VMs
    #[command(subcommand)]
    Image(Named<image::Command>),
    /// Manage the kernels that VMs boot
    #[command(subcommand)]
    Kernel(Named<kernel::Command>),
    /// Show, set and check the configuration
    #[command(subcommand)]
    Config(Named<config::Command>),
    /// Manage the cache
    #[command(subcommand)]
    Cache(Named<Cache>),
    /// Manage the daemon; other commands start the daemon when it does not run
    #[command(subcommand)]
    Daemon(Named<daemon::Command>),
    /// Manage disk usage, and the root helper, which gives VMs a network
    #[command(subcommand)]
    System(Named<system::Command>),
    SshConfig(Named<ssh_config::Args>),
    /// Manage trust: which repositories may configure their VMs
    #[command(subcommand)]
    Trust(Named<trust::Command>),
    Setup(Named<setup::Args>),
    Doctor(Named<doctor::Args>),
    Version(Named<version::Args>),
    Completion(Named<completion::Args>),
    #[command(hide = true)]
    Man(Named<man::Args>),
}

#[derive(Debug, Subcommand)]
enum Cache {
    /// Remove cached files, which are created again when needed
    #[command(after_help = "\
Examples:
  banger cache prune --dry-run                   print what would be removed
  banger cache prune")]
    Prune(prune::Args),
}

fn after_help() -> String {
    format!(
        "\
First use:
  banger doctor                                          check this host
  banger setup                                           get a kernel and an image

Daily use:
  cd my-repo && banger vm run                            open a shell in a VM with your repository
  banger vm run --rm make test                           run a command, then remove the VM
  banger vm create --name web && banger vm exec web uname -a
  banger vm list

{}

{}",
        crate::topics::list(),
        exit::TABLE
    )
}

/// Runs a command and returns its exit code.
pub(crate) async fn run(cli: Cli) -> Result<i32, Failure> {
    match cli.command {
        Command::Vm(Named(command)) => vm::run(command).await,
        Command::Run(Named(args)) => vm::run::run(args).await,
        Command::Exec(Named(args)) => vm::exec::run(args).await,
        Command::Shell(Named(args)) => vm::shell::run(args).await,
        Command::Logs(Named(args)) => vm::logs::run(args).await,
        Command::Cp(Named(args)) => vm::cp::run(args).await,
        Command::Rm(Named(args)) => vm::delete::run(args).await,
        Command::Ps(Named(args)) => vm::list::ps(args).await,
        Command::Pull(Named(args)) => image::run(image::Command::Pull(args)).await,
        Command::Images(Named(args)) => image::run(image::Command::List(args)).await,
        Command::Image(Named(command)) => image::run(command).await,
        Command::Kernel(Named(command)) => kernel::run(command).await,
        Command::Cache(Named(Cache::Prune(args))) => prune::run(prune::What::Cache, args).await,
        Command::Config(Named(command)) => config::run(command).await,
        Command::Daemon(Named(command)) => daemon::run(command).await,
        Command::System(Named(command)) => system::run(command).await,
        Command::Trust(Named(command)) => trust::run(command).await,
        Command::SshConfig(Named(args)) => ssh_config::run(args).await,
        Command::Setup(Named(args)) => setup::run(args).await,
        Command::Doctor(Named(args)) => doctor::run(args).await,
        Command::Version(Named(args)) => version::run(args).await,
        Command::Completion(Named(args)) => completion::run(&args),
        Command::Man(Named(args)) => man::run(&args),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    /// Collects every visible command with its path.
    fn visible(command: &clap::Command, path: &str, all: &mut Vec<(String, clap::Command)>) {
        all.push((path.to_owned(), command.clone()));
        let below = command.get_subcommands();
        for command in below.filter(|command| !command.is_hide_set() && command.get_name() != "help") {
            visible(command, &format!("{path} {}", command.get_name()), all);
        }
    }

    #[test]
    fn every_command_and_every_argument_has_help() {
        let mut all = Vec::new();
        visible(&Cli::command(), "banger", &mut all);
        // An empty walk must not pass.
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
            let arguments = command.get_arguments();
            for argument in arguments.filter(|argument| !argument.is_hide_set()) {
                let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
                if help.trim().is_empty() {
                    faults.push(format!("{path}: `{}` has no help", argument.get_id()));
                }
            }
            let after = command
                .get_after_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            for line in after.lines().filter(|line| line.chars().count() > 100) {
                faults.push(format!("{path}: clap breaks the line {line:?}"));
            }
            let help = command.clone().term_width(100).render_long_help().to_string();
            // Examples must fit a terminal of this width.
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

    /// A file for each command of the first level, with the help of all below it.
    #[test]
    fn the_help_of_every_command_is_as_it_was() {
        let mut files: BTreeMap<String, String> = BTreeMap::new();
        let mut all = Vec::new();
        visible(&Cli::command(), "banger", &mut all);
        for (path, command) in all {
            let group = path.split(' ').nth(1).unwrap_or("banger").to_owned();
            // Short forms have the help of what they are short for.
            if ["run", "exec", "shell", "logs", "cp", "rm", "pull", "images"].contains(&group.as_str()) {
                continue;
            }
            let mut command = command.bin_name(&path).term_width(100);
            let help = command.render_long_help();
            let text = files.entry(group).or_default();
            *text += &format!("==== {path} --help\n{help}\n");
        }
        insta::with_settings!({ snapshot_path => "snapshots/help", prepend_module_to_snapshot => false }, {
            for (group, text) in files {
                insta::assert_snapshot!(group, text);
            }
        });
    }
}
