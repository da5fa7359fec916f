//! `banger kernel publish`

use std::path::PathBuf;

use banger_api::client::Client;
use banger_api::{KernelPublish, SigningKey};
use banger_model::KernelName;

use super::absolute;
use crate::failure::Failure;
use crate::progress::{Display, bytes};
use crate::work::interruptible;
use crate::{complete, exit, print};

/// Make a catalog of kernels that are here, or add them to one
///
/// DIR gets the kernels' artifacts, catalog.json and its signature. Put it on any static storage, the artifacts first.
/// The secret key is one of minisign without a password; keep it, since a catalog is only ever continued with it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger kernel publish ./catalog --new-key ~/catalog.key        all, with a new key pair
  banger kernel publish ./catalog debian --secret-key ~/catalog.key --distro debian")]
#[command(group = clap::ArgGroup::new("key").required(true).args(["secret_key", "new_key"]))]
pub(crate) struct Args {
    /// The directory, made when absent
    dir: PathBuf,
    /// The kernels; all when none is named
    #[arg(add = complete::kernels())]
    names: Vec<KernelName>,
    /// Sign with the key in this file
    #[arg(long, value_name = "FILE")]
    secret_key: Option<PathBuf>,
    /// Make a key pair, keep it in this file and FILE.pub, and sign with it
    #[arg(long, value_name = "FILE")]
    new_key: Option<PathBuf>,
    /// The distribution that the kernels come from
    #[arg(long)]
    distro: Option<String>,
    /// What the kernels are good for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Print what was published as JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(client: &Client, args: Args) -> Result<i32, Failure> {
    let key = match (args.secret_key, args.new_key) {
        (Some(path), _) => SigningKey::Existing(absolute(path)?),
        (None, Some(path)) => SigningKey::New(absolute(path)?),
        // The command line is not taken without one of them.
        (None, None) => return Err(Failure::new("name a key", &["`--secret-key` or `--new-key`"])),
    };
    let publish = KernelPublish {
        dir: absolute(args.dir)?,
        kernels: args.names,
        key,
        distro: args.distro,
        description: args.description,
    };
    let mut display = Display::new("");
    display.now("publishing");
    let published = interruptible(async {
        Ok(client
            .publish_kernels(&publish, |progress| display.show(&progress))
            .await?)
    })
    .await?;
    drop(display);
    if args.json {
        print::json(&published)?;
        return Ok(exit::OK);
    }
    for kernel in &published.kernels {
        print::line(&format!(
            "{}: {}, {}",
            kernel.name,
            kernel.version,
            bytes(kernel.bytes)
        ));
    }
    print::line(&format!(
        "published in {}; its users run",
        published.dir.display()
    ));
    print::line(&format!(
        "  banger kernel catalog add NAME LOCATION --key {}",
        published.key
    ));
    Ok(exit::OK)
}
