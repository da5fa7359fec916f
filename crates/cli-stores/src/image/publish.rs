//! `banger image publish`

use std::path::PathBuf;

use banger_api::ImagePublish;
use banger_client::Client;
use banger_command::complete;
use banger_command::failure::Failure;
use banger_command::values::absolute;
use banger_command::work::shown;
use banger_model::ImageName;

use crate::publish::{Key, Notes};

/// Publish images and their kernels in a signed catalog
///
/// Writes an OCI archive of each image, the kernels that the images name, catalog.json and its signature to DIR, or
/// adds them to the catalog there. Host DIR on any static storage, and upload the artifacts first. The secret key is a
/// minisign key without a password. Keep it: a catalog can only be updated with the same key.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger image publish ./catalog --new-key ~/catalog.key     publish all images, with a new key
  banger image publish ./catalog dev --secret-key ~/catalog.key --description \"our tools\"")]
pub struct Args {
    /// Directory of the catalog; created if it does not exist
    dir: PathBuf,
    /// Names of the images; all images if omitted
    #[arg(value_name = "NAME", add = complete::images())]
    names: Vec<ImageName>,
    #[command(flatten)]
    key: Key,
    #[command(flatten)]
    notes: Notes,
}

pub(super) async fn run(client: &Client, args: Args) -> Result<i32, Failure> {
    let publish = ImagePublish {
        dir: absolute(args.dir)?,
        images: args.names,
        key: args.key.signing()?,
        description: args.notes.description.clone(),
        valid_days: args.notes.valid_days,
    };
    let published = shown("publishing", async |progress| {
        client.publish_images(&publish, progress).await
    })
    .await?;
    args.notes.print(&published)
}
