//! `banger kernel publish`

use std::path::PathBuf;

use banger_api::KernelPublish;
use banger_client::Client;
use banger_command::complete;
use banger_command::failure::Failure;
use banger_command::values::absolute;
use banger_command::work::shown;
use banger_model::KernelName;

use crate::publish::{Key, Notes};

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
    #[command(flatten)]
    notes: Notes,
}

pub(super) async fn run(client: &Client, args: Args) -> Result<i32, Failure> {
    let publish = KernelPublish {
        dir: absolute(args.dir)?,
        kernels: args.names,
        key: args.key.signing()?,
        distro: args.distro,
        description: args.notes.description.clone(),
        valid_days: args.notes.valid_days,
    };
    let published = shown("publishing", async |progress| {
        client.publish_kernels(&publish, progress).await
    })
    .await?;
    args.notes.print(&published)
}
