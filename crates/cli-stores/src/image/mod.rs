//! `banger image`

mod available;
mod build;
mod diff;
mod export;
mod history;
mod publish;
mod pull;

use std::io::Read;
use std::path::PathBuf;

use banger_api::{Image, ImageImport, ImageRegister, ImageTag, ImageUpload, KernelFiles, KernelSource};
use banger_client::Client;
use banger_command::failure::Failure;
use banger_command::progress::{Display, bytes};
use banger_command::values::absolute;
use banger_command::work::interruptible;
use banger_command::{complete, connection, exit, many, print};
use banger_model::{ImageConfig, ImageName, KernelName};
use bytes::Bytes;
use clap::Subcommand;
use tokio::sync::mpsc;

use crate::kernel::catalog;
use crate::prune;
use crate::publish::no_default;

pub use pull::Args as PullArgs;

#[derive(Debug, Subcommand)]
pub enum Command {
    Pull(pull::Args),
    Build(build::Args),
    Import(Import),
    Register(Register),
    /// List images
    #[command(
        visible_alias = "ls",
        after_help = "\
Examples:
  banger image list
  banger image list --available                  list the images of catalogs"
    )]
    List {
        /// List the images that can be pulled from catalogs
        #[arg(long, short)]
        available: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show details of an image
    #[command(after_help = "\
Examples:
  banger image show debian
  banger image show debian --json")]
    Show {
        /// Name of the image
        #[arg(add = complete::images())]
        name: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print an image and its OCI documents as JSON
    #[command(after_help = "\
Examples:
  banger image inspect debian
  banger image inspect debian | jq .configuration")]
    Inspect {
        /// Name of the image
        #[arg(add = complete::images())]
        name: String,
    },
    /// Show the build history of a pulled image
    #[command(after_help = "\
Examples:
  banger image history debian
  banger image history debian --json")]
    History {
        /// Name of the image
        #[arg(add = complete::images())]
        name: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    Diff(diff::Args),
    Export(export::Args),
    Publish(publish::Args),
    /// Manage catalogs, from which images and kernels are pulled
    #[command(subcommand)]
    Catalog(catalog::Command),
    /// Show or set the default image
    ///
    /// VMs boot the default image if no image is named. The first image in the store becomes the default.
    /// `default_image` in config.toml takes precedence.
    #[command(after_help = "\
Examples:
  banger image default                           print the default image
  banger image default debian-bookworm           set it")]
    Default {
        /// Image to make the default; prints the default image if omitted
        #[arg(add = complete::images())]
        name: Option<String>,
    },
    /// Add another name to an image
    #[command(after_help = "\
Examples:
  banger image tag debian-bookworm debian
  banger image tag --force debian-trixie debian  move the name debian to another image")]
    Tag {
        /// Name of the image
        #[arg(add = complete::images())]
        name: String,
        /// Name to add
        new: ImageName,
        /// Take the name from the image that has it
        #[arg(long, short)]
        force: bool,
    },
    /// Remove all images that no VM uses, except the default image
    #[command(after_help = "\
Examples:
  banger image prune --dry-run                   print what would be removed
  banger image prune --all --yes                 also remove images built or imported here")]
    Prune(prune::OfStore),
    /// Remove images that no VM uses
    #[command(
        visible_alias = "rm",
        after_help = "\
Examples:
  banger image delete alpine
  banger image delete alpine tools"
    )]
    Delete {
        /// Names of the images
        #[arg(required = true, value_name = "NAME", add = complete::images())]
        names: Vec<String>,
    },
    /// Copy the files of a registered image into banger's store
    ///
    /// The original files can be deleted afterwards.
    #[command(after_help = "\
Examples:
  banger image promote mine
  banger image promote mine && rm rootfs.ext4")]
    Promote {
        /// Name of the image
        #[arg(add = complete::images())]
        name: String,
    },
}

/// Import a tar archive or a directory as an image
///
/// The archive may be uncompressed or compressed with gzip, zstd or xz. It is written directly into an ext4 file
/// system, without root, without a mount, and without unpacking it on this host.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  mmdebstrap --variant=minbase --include=git bookworm - |
      banger image import --name debian-bookworm -
  banger image import --name alpine ./alpine-minirootfs.tar.gz
  banger image import --name mine ./rootfs")]
pub struct Import {
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
    /// Print the image as JSON
    #[arg(long)]
    json: bool,
}

/// Register an ext4 file system as an image without copying it
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger image register --name mine --rootfs ./rootfs.ext4 --kernel-ref debian
  banger image register --name mine --rootfs ./rootfs.ext4 --kernel ./vmlinux --modules ./modules")]
pub struct Register {
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
    /// Print the image as JSON
    #[arg(long)]
    json: bool,
}

/// Runs a command and gives its exit code.
///
/// # Errors
/// When it fails.
pub async fn run(command: Command) -> Result<i32, Failure> {
    let client = connection::connect().await?;
    match command {
        Command::Pull(args) => pull::run(&client, args).await?,
        Command::Import(args) => {
            let json = args.json;
            let image = interruptible(import(&client, args)).await?;
            tell(&image, json)?;
        }
        Command::Register(args) => {
            let json = args.json;
            let image = client.register_image(&args.request()?).await?;
            tell(&image, json)?;
        }
        Command::List {
            available: true,
            json,
        } => return available::list(&client, json).await,
        Command::Diff(args) => diff::run(&client, args).await?,
        Command::Export(args) => export::run(&client, args).await?,
        Command::Publish(args) => return publish::run(&client, args).await,
        Command::Catalog(command) => return catalog::run(&client, command).await,
        Command::List { json, .. } => list(&client.images().await?, json)?,
        Command::Show { name, json } => show(&client.image(&name).await?, json)?,
        Command::Inspect { name } => print::json(&client.inspect_image(&name).await?)?,
        Command::History { name, json } => history::run(&client, &name, json).await?,
        Command::Default { name: None } => {
            let images = client.images().await?;
            let default = images.iter().find(|image| image.default);
            let Some(image) = default else {
                return Err(no_default(
                    "image",
                    images.iter().map(|image| image.name.as_str()),
                ));
            };
            print::line(image.name.as_str());
        }
        Command::Default { name: Some(name) } => {
            print::line(client.set_default_image(&name).await?.name.as_str());
        }
        Command::Tag { name, new, force } => {
            let tagged = client.tag_image(&name, &ImageTag { name: new, force }).await?;
            print::line(tagged.name.as_str());
        }
        Command::Prune(prune::OfStore { args, all }) => {
            return prune::run(prune::What::Images { all }, args).await;
        }
        Command::Build(args) => return build::run(&client, args).await,
        Command::Delete { names } => {
            let delete = async |name: String| {
                client.delete_image(&name).await?;
                Ok(name)
            };
            return Ok(many::each(&names, delete).await);
        }
        Command::Promote { name } => {
            let mut display = Display::new("");
            let image = client
                .promote_image(&name, |progress| display.show(&progress))
                .await?;
            drop(display);
            tell(&image, false)?;
        }
    }
    Ok(exit::OK)
}

async fn import(client: &Client, args: Import) -> Result<Image, Failure> {
    let Import {
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

impl Register {
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

pub fn tell(image: &Image, json: bool) -> Result<(), Failure> {
    if json {
        return Ok(print::json(image)?);
    }
    let os = image.os.as_deref().unwrap_or("no os-release");
    let init = image.init.as_deref().unwrap_or("no init (the agent is the init)");
    print::line(&format!("{}: {os}, {init}, {}", image.name, bytes(image.bytes)));
    if !image.default {
        print::notice(&format!(
            "note: another image is the default; change it with `banger image default {}`",
            image.name
        ));
    }
    Ok(())
}

fn list(images: &[Image], json: bool) -> Result<(), Failure> {
    if json {
        return Ok(print::json(images)?);
    }
    let rows = images.iter().map(|image| {
        vec![
            image.name.to_string(),
            image.os.clone().unwrap_or_else(|| "-".to_owned()),
            image.init.clone().unwrap_or_else(|| "-".to_owned()),
            bytes(image.bytes),
            print::age(&image.created),
            image.used_by.len().to_string(),
            if image.default {
                "yes".to_owned()
            } else {
                String::new()
            },
        ]
    });
    print::table(&["NAME", "OS", "INIT", "SIZE", "AGE", "VMS", "DEFAULT"], rows);
    Ok(())
}

fn origin(image: &Image) -> String {
    let origin = image.origin.as_ref();
    origin
        .map(|origin| match &origin.digest {
            Some(digest) => format!("{} ({}, {digest})", origin.reference, origin.platform),
            None => format!("{} ({})", origin.reference, origin.platform),
        })
        .unwrap_or_default()
}

/// The entry point of the image, in one line.
fn entry_point(config: &ImageConfig) -> String {
    let words: Vec<_> = config.entrypoint.iter().chain(&config.cmd).cloned().collect();
    words.join(" ")
}

fn show(image: &Image, json: bool) -> Result<(), Failure> {
    if json {
        return Ok(print::json(image)?);
    }
    let layers: Vec<_> = image
        .layers
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    print::facts(&[
        ("name", image.name.to_string()),
        ("os", image.os.clone().unwrap_or_default()),
        ("init", image.init.clone().unwrap_or_default()),
        (
            "kernel",
            image.kernel.as_ref().map(ToString::to_string).unwrap_or_default(),
        ),
        ("layers", layers.join(" ")),
        ("pulled from", origin(image)),
        (
            "entry point",
            image.config.as_ref().map(entry_point).unwrap_or_default(),
        ),
        (
            "work seed",
            image
                .work_seed
                .as_ref()
                .map(|path| path.display().to_string())
                .unwrap_or_default(),
        ),
        (
            "files",
            if image.managed {
                "in banger's store"
            } else {
                "at their registered path"
            }
            .to_owned(),
        ),
        ("size", bytes(image.bytes)),
        ("created", image.created.clone()),
        ("used by", image.used_by.join(", ")),
    ]);
    Ok(())
}
