//! `banger kernel import`

use std::path::PathBuf;

use banger_api::{KernelFiles, KernelImport, KernelSource};
use banger_client::Client;
use banger_command::failure::Failure;
use banger_command::output::Output;
use banger_command::values::absolute;
use banger_command::work::shown;
use banger_model::KernelName;

use crate::stored;

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
pub struct Args {
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
    #[command(flatten)]
    output: Output,
}

pub(super) async fn run(client: &Client, args: Args) -> Result<(), Failure> {
    let json = args.output.json;
    let import = args.request()?;
    let kernel = shown("importing the kernel", async |progress| {
        client.import_kernel(&import, progress).await
    })
    .await?;
    stored::print_new(&kernel, json)
}

impl Args {
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
