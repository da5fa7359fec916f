//! `banger image publish`

use std::path::PathBuf;

use banger_api::ImagePublish;
use banger_client::Client;
use banger_command::complete;
use banger_command::failure::Failure;
use banger_command::values::absolute;
use banger_command::work::shown;
use banger_model::ImageName;

use crate::publish::{self, Key};

/// Make a catalog of images that are here, with their kernels, or add them to one
///
/// DIR gets an OCI archive of each image, the kernels that the images name, catalog.json and its signature. Put it on any
/// static storage, the artifacts first. The secret key is one of minisign without a password; keep it, since a catalog is
/// only ever continued with it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger image publish ./catalog --new-key ~/catalog.key          all, with a new key pair
  banger image publish ./catalog dev --secret-key ~/catalog.key --description \"our tools\"")]
pub struct Args {
    /// The directory, made when absent
    dir: PathBuf,
    /// The images; all when none is named
    #[arg(add = complete::images())]
    names: Vec<ImageName>,
    #[command(flatten)]
    key: Key,
    /// What the images are good for
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
    let publish = ImagePublish {
        dir: absolute(args.dir)?,
        images: args.names,
        key: args.key.signing()?,
        description: args.description,
        valid_days: args.valid_days,
    };
    let published = shown("publishing", async |tell| {
        client.publish_images(&publish, tell).await
    })
    .await?;
    publish::tell(&published, args.json)
}
