//! `banger image`

mod available;
mod build;
mod diff;
mod export;
mod history;
mod import;
mod publish;
mod pull;
mod register;
mod store;

use banger_api::{Image, ImageTag};
use banger_command::failure::Failure;
use banger_command::output::Output;
use banger_command::progress::Display;
use banger_command::{complete, connection, exit, print};
use banger_model::ImageName;
use clap::Subcommand;

use crate::kernel::catalog;
use crate::{prune, stored};

pub use crate::stored::ListArgs;
pub use pull::Args as PullArgs;

#[derive(Debug, Subcommand)]
pub enum Command {
    Pull(pull::Args),
    Build(build::Args),
    Import(import::Args),
    Register(register::Args),
    /// List images
    ///
    /// Keys of --filter: name, os, init, kernel, reference, vm, default; with --available: name, catalog, status, os,
    /// kernel, arch.
    #[command(
        visible_alias = "ls",
        after_help = "\
Examples:
  banger image list
  banger image list --filter vm=web --quiet
  banger image list --available                  list the images of catalogs"
    )]
    List(ListArgs),
    /// Show details of an image
    #[command(after_help = "\
Examples:
  banger image show debian
  banger image show debian --json")]
    Show {
        /// Name of the image
        #[arg(add = complete::images())]
        name: String,
        #[command(flatten)]
        output: Output,
    },
    /// Print an image and its OCI documents as JSON
    #[command(
        mut_arg("json", |json| json.help("Print JSON, which is the default here")),
        after_help = "\
Examples:
  banger image inspect debian
  banger image inspect debian | jq .configuration"
    )]
    Inspect {
        /// Name of the image
        #[arg(add = complete::images())]
        name: String,
        #[command(flatten)]
        output: Output,
    },
    /// Show the build history of a pulled image
    #[command(after_help = "\
Examples:
  banger image history debian
  banger image history debian --json")]
    History {
        /// Name of the image
        #[arg(add = complete::images())]
        name: String,
        #[command(flatten)]
        output: Output,
    },
    Diff(diff::Args),
    Export(export::Args),
    Publish(publish::Args),
    /// Manage catalogs, from which images and kernels are pulled
    #[command(subcommand)]
    Catalog(catalog::Command),
    /// Show or set the default image
    ///
    /// VMs boot the default image if no image is named. The first image in the store becomes the default.
    /// `default_image` in config.toml takes precedence.
    #[command(after_help = "\
Examples:
  banger image default                           print the default image
  banger image default debian-bookworm           set it")]
    Default {
        /// Image to make the default; prints the default image if omitted
        #[arg(add = complete::images())]
        name: Option<String>,
        #[command(flatten)]
        output: Output,
    },
    /// Add another name to an image
    #[command(after_help = "\
Examples:
  banger image tag debian-bookworm debian
  banger image tag --force debian-trixie debian  move the name debian to another image")]
    Tag {
        /// Name of the image
        #[arg(add = complete::images())]
        name: String,
        /// Name to add
        new: ImageName,
        /// Take the name from the image that has it
        #[arg(long, short)]
        force: bool,
        #[command(flatten)]
        output: Output,
    },
    /// Remove all images that no VM uses, except the default image
    #[command(after_help = "\
Examples:
  banger image prune --dry-run                   print what would be removed
  banger image prune --all --yes                 also remove images built or imported here")]
    Prune(prune::OfStore),
    /// Remove images that no VM uses
    #[command(
        visible_alias = "rm",
        after_help = "\
Examples:
  banger image delete alpine
  banger image delete alpine tools"
    )]
    Delete {
        /// Names of the images
        #[arg(required = true, value_name = "NAME", add = complete::images())]
        names: Vec<String>,
        #[command(flatten)]
        output: Output,
    },
    /// Copy the files of a registered image into banger's store
    ///
    /// The original files can be deleted afterwards.
    #[command(after_help = "\
Examples:
  banger image promote mine
  banger image promote mine && rm rootfs.ext4")]
    Promote {
        /// Name of the image
        #[arg(add = complete::images())]
        name: String,
        #[command(flatten)]
        output: Output,
    },
}

/// Runs a command and gives its exit code.
///
/// # Errors
/// When it fails.
pub async fn run(command: Command) -> Result<i32, Failure> {
    let client = connection::connect().await?;
    match command {
        Command::Pull(args) => pull::run(&client, args).await?,
        Command::Import(args) => import::run(&client, args).await?,
        Command::Register(args) => register::run(&client, args).await?,
        Command::List(args) if args.available => {
            return available::list(&client, args.list).await;
        }
        Command::Diff(args) => diff::run(&client, args).await?,
        Command::Export(args) => export::run(&client, args).await?,
        Command::Publish(args) => return publish::run(&client, args).await,
        Command::Catalog(command) => return catalog::run(&client, command).await,
        Command::List(args) => stored::list::<Image>(&client, args.list).await?,
        Command::Show { name, output } => stored::show::<Image>(&client, &name, output.json).await?,
        Command::Inspect { name, .. } => print::json(&client.inspect_image(&name).await?)?,
        Command::History { name, output } => history::run(&client, &name, output.json).await?,
        Command::Default { name, output } => {
            stored::default::<Image>(&client, name.as_deref(), output).await?
        }
        Command::Tag {
            name,
            new,
            force,
            output,
        } => {
            let tagged = client.tag_image(&name, &ImageTag { name: new, force }).await?;
            output.print(&tagged, |tagged| print::line(tagged.name.as_str()))?;
        }
        Command::Prune(prune::OfStore { args, all }) => {
            return prune::run(prune::What::Images { all }, args).await;
        }
        Command::Build(args) => return build::run(&client, args).await,
        Command::Delete { names, output } => return stored::delete::<Image>(&client, &names, output).await,
        Command::Promote { name, output } => {
            let mut display = Display::new("");
            let image = client
                .promote_image(&name, |progress| display.show(&progress))
                .await?;
            drop(display);
            stored::print_new(&image, output.json)?;
        }
    }
    Ok(exit::OK)
}

/// Prints an image that is new.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn print_new(image: &Image, json: bool) -> Result<(), Failure> {
    stored::print_new(image, json)
}
