//! `banger kernel`

mod available;
pub(crate) mod catalog;
mod import;
mod publish;
mod pull;
mod store;

use banger_api::Kernel;
use banger_command::failure::Failure;
use banger_command::output::Output;
use banger_command::{complete, connection, exit};
use clap::Subcommand;

use crate::stored::ListArgs;
use crate::{prune, stored};

#[derive(Debug, Subcommand)]
pub enum Command {
    Import(Box<import::Args>),
    Pull(pull::Args),
    /// List kernels
    ///
    /// Keys of --filter: name, version, supports, vm, default; with --available: name, catalog, status, version, distro,
    /// arch.
    #[command(
        visible_alias = "ls",
        after_help = "\
Examples:
  banger kernel list
  banger kernel list --filter default=true --quiet
  banger kernel list --available                 list the kernels of catalogs"
    )]
    List(ListArgs),
    /// Show details of a kernel
    #[command(after_help = "\
Examples:
  banger kernel show debian
  banger kernel show debian --json")]
    Show {
        /// Name of the kernel
        #[arg(add = complete::kernels())]
        name: String,
        #[command(flatten)]
        output: Output,
    },
    /// Show or set the default kernel
    ///
    /// VMs boot the default kernel if neither the command nor their image names one. The first kernel in the store
    /// becomes the default. `default_kernel` in config.toml takes precedence.
    #[command(after_help = "\
Examples:
  banger kernel default                          print the default kernel
  banger kernel default debian                   set it")]
    Default {
        /// Kernel to make the default; prints the default kernel if omitted
        #[arg(add = complete::kernels())]
        name: Option<String>,
        #[command(flatten)]
        output: Output,
    },
    /// Remove kernels that no VM uses
    #[command(
        visible_alias = "delete",
        after_help = "\
Examples:
  banger kernel rm host
  banger kernel rm host built"
    )]
    Rm {
        /// Names of the kernels
        #[arg(required = true, value_name = "NAME", add = complete::kernels())]
        names: Vec<String>,
        #[command(flatten)]
        output: Output,
    },
    /// Remove all kernels that no VM uses and no image names, except the default kernel
    #[command(after_help = "\
Examples:
  banger kernel prune --dry-run                  print what would be removed
  banger kernel prune --all --yes                also remove kernels imported here")]
    Prune(prune::OfStore),
    Publish(publish::Args),
    /// Manage catalogs, from which images and kernels are pulled
    #[command(subcommand)]
    Catalog(catalog::Command),
}

/// Runs a command and gives its exit code.
///
/// # Errors
/// When it fails.
pub async fn run(command: Command) -> Result<i32, Failure> {
    let client = connection::connect().await?;
    match command {
        Command::Import(args) => import::run(&client, *args).await?,
        Command::Pull(args) => return pull::run(&client, args).await,
        Command::Prune(prune::OfStore { args, all }) => {
            return prune::run(prune::What::Kernels { all }, args).await;
        }
        Command::Publish(args) => return publish::run(&client, args).await,
        Command::Catalog(command) => return catalog::run(&client, command).await,
        Command::List(args) if args.available => {
            return available::list(&client, args.list).await;
        }
        Command::List(args) => stored::list::<Kernel>(&client, args.list).await?,
        Command::Show { name, output } => stored::show::<Kernel>(&client, &name, output.json).await?,
        Command::Default { name, output } => {
            stored::default::<Kernel>(&client, name.as_deref(), output).await?
        }
        Command::Rm { names, output } => return stored::delete::<Kernel>(&client, &names, output).await,
    }
    Ok(exit::OK)
}
