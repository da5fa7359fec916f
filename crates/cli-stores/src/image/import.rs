//! `banger image import`

use std::io::Read;
use std::path::PathBuf;

use banger_api::{Image, ImageImport, ImageUpload};
use banger_client::Client;
use banger_command::complete;
use banger_command::failure::Failure;
use banger_command::output::Output;
use banger_command::progress::Display;
use banger_command::values::absolute;
use banger_command::work::interruptible;
use banger_model::{ImageName, KernelName};
use bytes::Bytes;
use tokio::sync::mpsc;

use crate::stored;

/// Import a tar archive or a directory as an image
///
/// The archive may be uncompressed or compressed with gzip, zstd or xz. Its files are written directly into an
/// ext4 file system: this needs no root and no mount, and nothing is unpacked on this host.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  mmdebstrap --variant=minbase --include=git bookworm - |
      banger image import --name debian-bookworm -
  banger image import --name alpine ./alpine-minirootfs.tar.gz
  banger image import --name mine ./rootfs")]
pub struct Args {
    /// Tar archive, directory, or `-` for a tar archive on standard input
    source: PathBuf,
    /// Name of the new image
    #[arg(long)]
    name: ImageName,
    /// Kernel that VMs of the image boot
    #[arg(long, add = complete::kernels())]
    kernel: Option<KernelName>,
    /// Replace an existing image of that name; VMs that use the old image keep it
    #[arg(long, short)]
    force: bool,
    #[command(flatten)]
    output: Output,
}

pub(super) async fn run(client: &Client, args: Args) -> Result<(), Failure> {
    let json = args.output.json;
    let image = interruptible(import(client, args)).await?;
    stored::print_new(&image, json)
}

async fn import(client: &Client, args: Args) -> Result<Image, Failure> {
    let Args {
        source,
        name,
        kernel,
        force,
        ..
    } = args;
    let mut display = Display::new("");
    display.now("importing the image");
    if source.as_os_str() == "-" {
        let query = ImageUpload { kernel, force };
        let tar = standard_input();
        return Ok(client
            .upload_image(name.as_str(), &query, tar, |progress| display.show(&progress))
            .await?);
    }
    let import = ImageImport {
        name,
        path: absolute(source)?,
        kernel,
        force,
    };
    Ok(client
        .import_image(&import, |progress| display.show(&progress))
        .await?)
}

/// Standard input in chunks, read by a thread that is at most two chunks ahead.
fn standard_input() -> impl futures_util::Stream<Item = std::io::Result<Bytes>> + Send + Sync {
    const CHUNK: usize = 1 << 20;
    let (sender, mut receiver) = mpsc::channel(2);
    std::thread::spawn(move || {
        let mut stdin = std::io::stdin().lock();
        loop {
            let mut chunk = Vec::with_capacity(CHUNK);
            let read = (&mut stdin).take(CHUNK as u64).read_to_end(&mut chunk);
            let chunk = match read {
                Ok(0) => return,
                Ok(_) => Ok(Bytes::from(chunk)),
                Err(error) => Err(error),
            };
            if sender.blocking_send(chunk).is_err() {
                return;
            }
        }
    });
    futures_util::stream::poll_fn(move |context| receiver.poll_recv(context))
}
