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

/// Publish kernels in a signed catalog
///
/// Writes the kernels' artifacts, catalog.json and its signature to DIR, or adds them to the catalog there. Host DIR on
/// any static storage, and upload the artifacts first. The secret key is a minisign key without a password. Keep it: a
/// catalog can only be updated with the same key.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger kernel publish ./catalog --new-key ~/catalog.key    publish all kernels, with a new key
  banger kernel publish ./catalog debian --secret-key ~/catalog.key --distro debian")]
pub struct Args {
    /// Directory of the catalog; created if it does not exist
    dir: PathBuf,
    /// Names of the kernels; all kernels if omitted
    #[arg(value_name = "NAME", add = complete::kernels())]
    names: Vec<KernelName>,
    #[command(flatten)]
    key: Key,
    /// Distribution that the kernels come from
    #[arg(long)]
    distro: Option<String>,
    /// Description of the kernels
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Number of days after which users reject this version of the catalog; publish again before that
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
