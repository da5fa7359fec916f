//! `banger vm commit`

use banger_api::VmCommit;
use banger_command::failure::Failure;
use banger_command::output::Output;
use banger_command::work::shown;
use banger_command::{complete, connection, exit};
use banger_model::{ImageName, KernelName};

use banger_cli_stores::image;

/// Create an image from a VM
///
/// The content of the VM's disk becomes a layer on top of the image that the VM boots. A running VM is paused while its
/// disk is copied.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger vm commit web --name web-ready
  banger vm commit web --name web-ready --force        replace the image")]
pub(crate) struct Args {
    /// Name of the VM
    #[arg(add = complete::vms())]
    vm: String,
    /// Name of the new image
    #[arg(long)]
    name: ImageName,
    /// Kernel that VMs of the image boot; that of the VM's image if omitted
    #[arg(long, add = complete::kernels())]
    kernel: Option<KernelName>,
    /// Replace an existing image of that name; VMs that use the old image keep it
    #[arg(long, short)]
    force: bool,
    #[command(flatten)]
    output: Output,
}

pub(super) async fn run(args: Args) -> Result<i32, Failure> {
    let client = connection::connect().await?;
    let commit = VmCommit {
        image: args.name,
        kernel: args.kernel,
        force: args.force,
    };
    let image = shown("", async |progress| {
        client.commit_vm(&args.vm, &commit, progress).await
    })
    .await?;
    image::print_new(&image, args.output.json)?;
    Ok(exit::OK)
}
