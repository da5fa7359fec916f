//! `banger vm commit`

use banger_api::VmCommit;
use banger_command::failure::Failure;
use banger_command::work::shown;
use banger_command::{complete, connection, exit};
use banger_model::{ImageName, KernelName};

use banger_cli_stores::image;

/// Make an image of what a VM has changed
///
/// What the VM has on its disk becomes a layer on top of the image it boots. A VM that runs stands still for the moment
/// that the copy takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger vm commit web --name web-ready
  banger vm commit web --name web-ready --force        replace it")]
pub(crate) struct Args {
    #[arg(add = complete::vms())]
    vm: String,
    /// The image's name
    #[arg(long)]
    name: ImageName,
    /// The kernel that its VMs boot; that of the image below when absent
    #[arg(long, add = complete::kernels())]
    kernel: Option<KernelName>,
    /// Replace an image of that name; VMs that use the old one keep it
    #[arg(long, short)]
    force: bool,
    /// Print the image as JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> Result<i32, Failure> {
    let client = connection::connect().await?;
    let commit = VmCommit {
        image: args.name,
        kernel: args.kernel,
        force: args.force,
    };
    let image = shown("", async |tell| client.commit_vm(&args.vm, &commit, tell).await).await?;
    image::tell(&image, args.json)?;
    Ok(exit::OK)
}
