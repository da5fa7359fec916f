//! `banger vm prune`, `banger image prune`, `banger kernel prune`, `banger cache prune`

use banger_api::{Prune, Pruned};
use banger_client::{Client, ClientError};
use banger_command::failure::Failure;
use banger_command::output::Output;
use banger_command::progress::bytes;
use banger_command::{ask, connection, exit, print};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print what would be removed, and remove nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask for confirmation
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    output: Output,
}

/// What is removed.
#[derive(Debug, Clone, Copy)]
pub enum What {
    /// VMs that are not running.
    Vms,
    /// Images that no VM uses.
    Images {
        /// Also those that cannot be fetched again.
        all: bool,
    },
    /// Kernels that no VM uses and no image names.
    Kernels {
        /// Also those that cannot be fetched again.
        all: bool,
    },
    /// Cached files.
    Cache,
}

/// Options for images and kernels.
#[derive(Debug, clap::Args)]
pub struct OfStore {
    #[command(flatten)]
    pub args: Args,
    /// Also remove those that were built or imported here and may exist nowhere else
    #[arg(long)]
    pub all: bool,
}

impl What {
    /// The command group.
    const fn command(self) -> &'static str {
        match self {
            Self::Vms => "vm",
            Self::Images { .. } => "image",
            Self::Kernels { .. } => "kernel",
            Self::Cache => "cache",
        }
    }

    /// The message if there is nothing to remove.
    const fn nothing(self) -> &'static str {
        match self {
            Self::Vms => "no VMs to remove: all VMs are running",
            Self::Images { .. } => "no images to remove: all images are in use or the default",
            Self::Kernels { .. } => {
                "no kernels to remove: all kernels are in use, named by an image or the default"
            }
            Self::Cache => "the cache is empty",
        }
    }

    /// One of them, or several, in a sentence.
    pub const fn noun(self, count: usize) -> &'static str {
        match (self, count) {
            (Self::Vms, 1) => "VM",
            (Self::Vms, _) => "VMs",
            (Self::Images { .. }, 1) => "image",
            (Self::Images { .. }, _) => "images",
            (Self::Kernels { .. }, 1) => "kernel",
            (Self::Kernels { .. }, _) => "kernels",
            (Self::Cache, 1) => "cached file",
            (Self::Cache, _) => "cached files",
        }
    }

    /// Removes what the request says, or reports that.
    ///
    /// # Errors
    /// When the daemon refuses.
    pub async fn prune(self, client: &Client, prune: &Prune) -> Result<Pruned, ClientError> {
        match self {
            Self::Vms => client.prune(prune).await,
            Self::Images { .. } => client.prune_images(prune).await,
            Self::Kernels { .. } => client.prune_kernels(prune).await,
            Self::Cache => client.prune_cache(prune).await,
        }
    }
}

/// Prints what can be removed, asks, and removes it.
///
/// # Errors
/// When the daemon refuses, or there is no terminal to ask on.
pub async fn run(what: What, args: Args) -> Result<i32, Failure> {
    let client = connection::connect().await?;
    let all = matches!(what, What::Images { all: true } | What::Kernels { all: true });
    let request = Prune {
        dry_run: true,
        all,
        ..Prune::default()
    };
    let found = what.prune(&client, &request).await?;
    for kept in found.kept.iter().filter(|_| !args.output.json) {
        print::notice!("note: {kept}");
    }
    if found.names.is_empty() && found.kept.is_empty() && !args.output.json {
        print::notice!("{}", what.nothing());
    }
    if found.names.is_empty() || args.dry_run {
        print(args.output, &found, "would be freed")?;
        return Ok(exit::OK);
    }
    let question = format!("Remove {}?", found.names.join(", "));
    let more = if all { " --all" } else { "" };
    let instead = format!("banger {} prune{more} --yes", what.command());
    // Cached files need no confirmation.
    if !matches!(what, What::Cache) && !args.yes && !ask::sure(&question, &instead)? {
        return Ok(exit::FAILED);
    }
    // VMs that stopped during the question were not agreed to.
    let agreed = Prune {
        dry_run: false,
        only: (!matches!(what, What::Cache)).then_some(found.names),
        ..request
    };
    let pruned = what.prune(&client, &agreed).await?;
    print(args.output, &pruned, "freed")?;
    Ok(exit::OK)
}

fn print(output: Output, pruned: &Pruned, freed: &str) -> Result<(), Failure> {
    output.print(pruned, |pruned| {
        pruned.names.iter().for_each(|name| print::line(name));
        if !pruned.names.is_empty() {
            print::notice!("{} {freed}", bytes(pruned.bytes));
        }
    })
}
