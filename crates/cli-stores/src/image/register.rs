//! `banger image register`

use std::path::PathBuf;

use banger_api::{ImageRegister, KernelFiles, KernelSource};
use banger_client::Client;
use banger_command::complete;
use banger_command::failure::Failure;
use banger_command::output::Output;
use banger_command::values::absolute;
use banger_model::{ImageName, KernelName};

use crate::stored;

/// Register an ext4 file system as an image without copying it
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger image register --name mine --rootfs ./rootfs.ext4 --kernel-ref debian
  banger image register --name mine --rootfs ./rootfs.ext4 --kernel ./vmlinux --modules ./modules")]
pub struct Args {
    /// Name of the new image
    #[arg(long)]
    name: ImageName,
    /// File of the root file system (ext4); VMs never write to it
    #[arg(long, value_name = "FILE")]
    rootfs: PathBuf,
    /// File of another ext4 file system; each VM gets a writable copy at /root
    #[arg(long, value_name = "FILE")]
    work_seed: Option<PathBuf>,
    /// Name of the kernel that VMs of the image boot
    #[arg(long, value_name = "KERNEL", conflicts_with = "kernel", add = complete::kernels())]
    kernel_ref: Option<KernelName>,
    /// File of a kernel (ELF or bzImage) to import under the name of the image
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,
    /// Initrd of that kernel
    #[arg(long, value_name = "FILE", requires = "kernel")]
    initrd: Option<PathBuf>,
    /// Directory with the modules of that kernel
    #[arg(long, value_name = "DIR", requires = "kernel")]
    modules: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
}

pub(super) async fn run(client: &Client, args: Args) -> Result<(), Failure> {
    let json = args.output.json;
    let image = client.register_image(&args.request()?).await?;
    stored::print_new(&image, json)
}

impl Args {
    fn request(self) -> Result<ImageRegister, Failure> {
        let kernel = match self.kernel {
            Some(kernel) => Some(KernelSource::Files(KernelFiles {
                // The format of the file is detected from its content.
                vmlinux: None,
                vmlinuz: Some(absolute(kernel)?),
                initrd: self.initrd.map(absolute).transpose()?,
                modules: self.modules.map(absolute).transpose()?,
                config: None,
            })),
            None => None,
        };
        Ok(ImageRegister {
            name: self.name,
            rootfs: absolute(self.rootfs)?,
            work_seed: self.work_seed.map(absolute).transpose()?,
            kernel_ref: self.kernel_ref,
            kernel,
        })
    }
}
