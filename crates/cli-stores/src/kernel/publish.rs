//! `banger kernel publish`

use std::path::PathBuf;

use banger_api::KernelPublish;
use banger_client::Client;
use banger_command::complete;
use banger_command::failure::Failure;
use banger_command::values::absolute;
use banger_command::work::shown;
use banger_model::KernelName;

use crate::publish::{self, Key};

/// Make a catalog of kernels that are here, or add them to one
///
/// DIR gets the kernels' artifacts, catalog.json and its signature. Put it on any static storage, the artifacts first.
/// The secret key is one of minisign without a password; keep it, since a catalog is only ever continued with it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger kernel publish ./catalog --new-key ~/catalog.key        all, with a new key pair
  banger kernel publish ./catalog debian --secret-key ~/catalog.key --distro debian")]
pub struct Args {
    /// The directory, made when absent
    dir: PathBuf,
    /// The kernels; all when none is named
    #[arg(add = complete::kernels())]
    names: Vec<KernelName>,
    #[command(flatten)]
    key: Key,
    /// The distribution that the kernels come from
    #[arg(long)]
    distro: Option<String>,
    /// What the kernels are good for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Days after which users no longer take the catalog as it is now; publish again before
    #[arg(long, value_name = "DAYS", default_value_t = 180, value_parser = clap::value_parser!(u16).range(1..))]
    valid_days: u16,
    /// Print what was published as JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(client: &Client, args: Args) -> Result<i32, Failure> {
    let publish = KernelPublish {
        dir: absolute(args.dir)?,
        kernels: args.names,
        key: args.key.signing()?,
        distro: args.distro,
        description: args.description,
        valid_days: args.valid_days,
    };
    let published = shown("publishing", async |tell| {
        client.publish_kernels(&publish, tell).await
    })
    .await?;
    publish::tell(&published, args.json)
}
