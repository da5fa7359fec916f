//! `banger kernel`

pub(crate) mod catalog;
mod publish;
mod pull;

use std::path::PathBuf;

use banger_api::{Kernel, KernelFiles, KernelImport, KernelSource};
use banger_command::failure::Failure;
use banger_command::progress::bytes;
use banger_command::values::absolute;
use banger_command::work::shown;
use banger_command::{complete, connection, exit, many, print};
use banger_model::KernelName;
use clap::Subcommand;

use crate::prune;
use crate::publish::no_default;

pub(super) use pull::presence;

#[derive(Debug, Subcommand)]
pub enum Command {
    Import(Box<Import>),
    Pull(pull::Args),
    /// List kernels
    #[command(
        visible_alias = "ls",
        after_help = "\
Examples:
  banger kernel list
  banger kernel list --available                 list the kernels of catalogs"
    )]
    List {
        /// List the kernels that can be pulled from catalogs
        #[arg(long, short)]
        available: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show details of a kernel
    #[command(after_help = "\
Examples:
  banger kernel show debian
  banger kernel show debian --json")]
    Show {
        /// Name of the kernel
        #[arg(add = complete::kernels())]
        name: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show or set the default kernel
    ///
    /// VMs boot the default kernel if neither the command nor their image names one. The first kernel in the store
    /// becomes the default. `default_kernel` in config.toml takes precedence.
    #[command(after_help = "\
Examples:
  banger kernel default                          print the default kernel
  banger kernel default debian                   set it")]
    Default {
        /// Kernel to make the default; prints the default kernel if omitted
        #[arg(add = complete::kernels())]
        name: Option<String>,
    },
    /// Remove kernels that no VM uses
    #[command(
        visible_alias = "delete",
        after_help = "\
Examples:
  banger kernel rm host
  banger kernel rm host built"
    )]
    Rm {
        /// Names of the kernels
        #[arg(required = true, value_name = "NAME", add = complete::kernels())]
        names: Vec<String>,
    },
    /// Remove all kernels that no VM uses and no image names, except the default kernel
    #[command(after_help = "\
Examples:
  banger kernel prune --dry-run                  print what would be removed
  banger kernel prune --all --yes                also remove kernels imported here")]
    Prune(prune::OfStore),
    Publish(publish::Args),
    /// Manage catalogs, from which images and kernels are pulled
    #[command(subcommand)]
    Catalog(catalog::Command),
}

/// Import a kernel from a package, this host, or files
///
/// The kernel is unpacked into the format that Firecracker boots, checked for the features that banger needs, and
/// stored with the modules that a guest needs to find its disks.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger kernel import debian --package linux-image-cloud-amd64
  banger kernel import mine --deb ./linux-image-6.12_amd64.deb
  banger kernel import host --host
  banger kernel import built --vmlinux ./vmlinux --config ./.config --append no_timer_check")]
#[command(group = clap::ArgGroup::new("source").required(true).multiple(true).args(["package", "deb", "host", "vmlinux", "vmlinuz"]))]
pub struct Import {
    /// Name of the new kernel
    name: KernelName,
    /// Package to download with the host's package manager; it is not installed
    #[arg(long, conflicts_with_all = ["deb", "host", "vmlinux", "vmlinuz"])]
    package: Option<String>,
    /// Debian package file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["host", "vmlinux", "vmlinuz"])]
    deb: Option<PathBuf>,
    /// Import the kernel that this host runs
    #[arg(long, conflicts_with_all = ["vmlinux", "vmlinuz"])]
    host: bool,
    /// Uncompressed ELF kernel file
    #[arg(long, value_name = "FILE")]
    vmlinux: Option<PathBuf>,
    /// bzImage kernel file
    #[arg(long, value_name = "FILE")]
    vmlinuz: Option<PathBuf>,
    /// Initrd file to run before banger's own initrd
    #[arg(long, value_name = "FILE", conflicts_with_all = ["package", "deb", "host"])]
    initrd: Option<PathBuf>,
    /// Directory with the kernel's modules, like /lib/modules/VERSION
    #[arg(long, value_name = "DIR", conflicts_with_all = ["package", "deb", "host"])]
    modules: Option<PathBuf>,
    /// File with the kernel's configuration, for the feature check
    #[arg(long, value_name = "FILE", conflicts_with_all = ["package", "deb", "host"])]
    config: Option<PathBuf>,
    /// Boot arguments that the kernel needs, separated by spaces; repeatable
    #[arg(long, value_name = "ARGS")]
    append: Vec<String>,
    /// Maximum number of virtual CPUs that the kernel supports
    #[arg(long, value_name = "N")]
    max_vcpus: Option<u32>,
    /// Replace an existing kernel of that name
    #[arg(long, short)]
    force: bool,
    /// Print the kernel as JSON
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
        Command::Import(args) => {
            let json = args.json;
            let import = args.request()?;
            let kernel = shown("importing the kernel", async |tell| {
                client.import_kernel(&import, tell).await
            })
            .await?;
            if json {
                print::json(&kernel)?
            } else {
                print::line(&told(&kernel));
                if !kernel.default {
                    print::notice(&format!(
                        "note: another kernel is the default; change it with `banger kernel default {}`",
                        kernel.name
                    ));
                }
            }
        }
        Command::Pull(args) => return pull::run(&client, args).await,
        Command::Prune(prune::OfStore { args, all }) => {
            return prune::run(prune::What::Kernels { all }, args).await;
        }
        Command::Publish(args) => return publish::run(&client, args).await,
        Command::Catalog(command) => return catalog::run(&client, command).await,
        Command::List {
            available: true,
            json,
        } => return pull::list(&client, json).await,
        Command::List { json, .. } => list(&client.kernels().await?, json)?,
        Command::Show { name, json } => show(&client.kernel(&name).await?, json)?,
        Command::Default { name: None } => {
            let kernels = client.kernels().await?;
            let default = kernels.iter().find(|kernel| kernel.default);
            let Some(kernel) = default else {
                return Err(no_default(
                    "kernel",
                    kernels.iter().map(|kernel| kernel.name.as_str()),
                ));
            };
            print::line(kernel.name.as_str());
        }
        Command::Default { name: Some(name) } => {
            print::line(client.set_default_kernel(&name).await?.name.as_str());
        }
        Command::Rm { names } => {
            let remove = async |name: String| {
                client.delete_kernel(&name).await?;
                Ok(name)
            };
            return Ok(many::each(&names, remove).await);
        }
    }
    Ok(exit::OK)
}

impl Import {
    fn request(self) -> Result<KernelImport, Failure> {
        let source = if let Some(package) = self.package {
            KernelSource::Package(package)
        } else if let Some(deb) = self.deb {
            KernelSource::Deb(absolute(deb)?)
        } else if self.host {
            KernelSource::Host
        } else {
            KernelSource::Files(KernelFiles {
                vmlinux: self.vmlinux.map(absolute).transpose()?,
                vmlinuz: self.vmlinuz.map(absolute).transpose()?,
                initrd: self.initrd.map(absolute).transpose()?,
                modules: self.modules.map(absolute).transpose()?,
                config: self.config.map(absolute).transpose()?,
            })
        };
        let append = self
            .append
            .iter()
            .flat_map(|args| args.split_whitespace())
            .map(str::to_owned);
        Ok(KernelImport {
            name: self.name,
            source,
            append: append.collect(),
            max_vcpus: self.max_vcpus,
            force: self.force,
        })
    }
}

fn told(kernel: &Kernel) -> String {
    format!(
        "{}: {} from {}, {} modules, {}",
        kernel.name,
        kernel.version,
        kernel.source,
        kernel.modules.len(),
        bytes(kernel.bytes)
    )
}

fn list(kernels: &[Kernel], json: bool) -> Result<(), Failure> {
    if json {
        return Ok(print::json(kernels)?);
    }
    let rows = kernels.iter().map(|kernel| {
        vec![
            kernel.name.to_string(),
            kernel.version.clone(),
            bytes(kernel.bytes),
            kernel.supports.join(","),
            kernel.used_by.len().to_string(),
            if kernel.default {
                "yes".to_owned()
            } else {
                String::new()
            },
        ]
    });
    print::table(&["NAME", "VERSION", "SIZE", "SUPPORTS", "VMS", "DEFAULT"], rows);
    Ok(())
}

fn show(kernel: &Kernel, json: bool) -> Result<(), Failure> {
    if json {
        return Ok(print::json(kernel)?);
    }
    print::facts(&[
        ("name", kernel.name.to_string()),
        ("version", kernel.version.clone()),
        ("source", kernel.source.clone()),
        ("supports", kernel.supports.join(", ")),
        ("append", kernel.append.join(" ")),
        (
            "max vCPUs",
            kernel.max_vcpus.map(|most| most.to_string()).unwrap_or_default(),
        ),
        ("modules", kernel.modules.join(" ")),
        (
            "own initrd",
            if kernel.initrd {
                "yes".to_owned()
            } else {
                String::new()
            },
        ),
        ("size", bytes(kernel.bytes)),
        ("used by", kernel.used_by.join(", ")),
    ]);
    Ok(())
}
