//! `banger image pull`

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::PathBuf;

use banger_api::{ImagePull, ImagePulled};
use banger_client::Client;
use banger_command::failure::Failure;
use banger_command::output::Output;
use banger_command::progress::Display;
use banger_command::values::absolute;
use banger_command::work::interruptible;
use banger_command::{complete, logins, print};
use banger_model::{CatalogName, ImageName, KernelName};
use serde::Serialize;

use crate::stored;

/// Pull an image from a registry or a catalog and make it bootable
///
/// REFERENCE is a reference as for docker or podman, or `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]`,
/// `docker-archive:FILE[:NAME]` (written by `docker save`), or `-` for such an archive on standard input. A name
/// without a tag is looked up in catalogs first (see `banger image list --available`); an image of a catalog is pulled
/// with its kernel.
///
/// Layers are verified and written directly into an ext4 file system. If the image is already here and has not changed,
/// the pull costs one request. Credentials of docker and podman are used, as configured in your environment.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger image pull alpine
  banger image pull debian:bookworm --name debian
  banger image pull registry.example/owner/image@sha256:…
  banger image pull localhost:5000/mine --insecure
  banger image pull dev --catalog team
  docker save mine | banger image pull --name mine -")]
#[command(mut_arg("json", |json| json.help("Print progress as JSON, one object per line; the last object is the image")))]
pub struct Args {
    /// Image to pull
    reference: String,
    /// Catalog to pull the image from; required if several catalogs have an image of this name
    #[arg(long, add = complete::catalogs(), conflicts_with_all = ["platform", "insecure", "ca_cert"])]
    catalog: Option<CatalogName>,
    /// Name of the new image; derived from the reference if omitted
    #[arg(long, required_if_eq("reference", "-"))]
    name: Option<ImageName>,
    /// Kernel that VMs of the image boot
    #[arg(long, value_name = "KERNEL", visible_alias = "kernel", add = complete::kernels())]
    kernel_ref: Option<KernelName>,
    /// Platform to pull, such as linux/amd64; the platform of this host if omitted
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<String>,
    /// Pull again even if unchanged, and replace an image of that name from another source
    #[arg(long, short)]
    force: bool,
    /// Accept any certificate, and plain HTTP
    #[arg(long)]
    insecure: bool,
    /// File with additional certificates to trust, in PEM format
    #[arg(long, value_name = "FILE")]
    ca_cert: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
}

pub(super) async fn run(client: &Client, args: Args) -> Result<(), Failure> {
    let json = args.output.json;
    let mut spool = None;
    let reference = if args.reference == "-" {
        let spool = spool.insert(spool_input()?);
        format!("archive:/proc/{}/fd/{}", std::process::id(), spool.as_raw_fd())
    } else {
        args.reference
    };
    let logins = match args.catalog {
        Some(_) => Vec::new(),
        None => logins::for_reference(&reference)?,
    };
    let pull = ImagePull {
        reference,
        logins,
        catalog: args.catalog,
        directory: Some(absolute(PathBuf::from("."))?),
        name: args.name,
        kernel: args.kernel_ref,
        platform: args.platform,
        force: args.force,
        insecure: args.insecure,
        ca_cert: args.ca_cert,
    };
    let mut display = Display::new("");
    if !json {
        display.now("requesting the image");
    }
    let pulled = interruptible(async {
        let pulling = client.pull_image(&pull, |progress| match json {
            true => line(&progress),
            false => display.show(&progress),
        });
        Ok(pulling.await?)
    })
    .await?;
    drop(display);
    print_pulled(&pulled, json)
}

/// The archive on standard input, as a temporary file, because its table of contents is at its end. The file has no
/// name, so it vanishes when this program ends.
fn spool_input() -> Result<File, Failure> {
    let spooled = || {
        let mut file = tempfile::tempfile()?;
        std::io::copy(&mut std::io::stdin().lock(), &mut file)?;
        Ok(file)
    };
    spooled().map_err(|error: std::io::Error| Failure::during("failed to read standard input", &error))
}

fn print_pulled(pulled: &ImagePulled, json: bool) -> Result<(), Failure> {
    if json {
        line(&Done {
            kind: "pulled",
            pulled,
        });
        return Ok(());
    }
    if pulled.unchanged {
        print::notice!("note: image {} is up to date", pulled.image.name);
    }
    stored::print_new(&pulled.image, false)
}

/// The last line of JSON.
#[derive(Serialize)]
struct Done<'a> {
    kind: &'static str,
    #[serde(flatten)]
    pulled: &'a ImagePulled,
}

fn line(value: &impl Serialize) {
    // Values of the API have only string keys, so this does not fail.
    if let Ok(text) = serde_json::to_string(value) {
        print::line(&text);
    }
}
