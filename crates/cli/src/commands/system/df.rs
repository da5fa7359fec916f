//! `banger system df`

use banger_api::{UsageKind, UsageObject, UsageOf};
use banger_command::failure::Failure;
use banger_command::output::Output;
use banger_command::progress::bytes;
use banger_command::{connection, exit, print};

/// Show the disk usage of images, kernels, VMs and caches
///
/// RECLAIMABLE is what a prune can free: `banger system prune`, with --all for images and kernels and --vms for stopped
/// VMs. Images share layers, so their sizes add up to more than what the images take together.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger system df
  banger system df -v                            list every image, layer, kernel, VM and cache
  banger system df --json")]
pub(crate) struct Args {
    /// List every object
    #[arg(long, short)]
    verbose: bool,
    #[command(flatten)]
    output: Output,
}

pub(super) async fn run(args: Args) -> Result<i32, Failure> {
    let client = connection::connect().await?;
    let usage = client.disk_usage().await?;
    if args.output.json {
        print::json(&usage)?;
        return Ok(exit::OK);
    }
    print::table(
        &["TYPE", "TOTAL", "IN USE", "SIZE", "RECLAIMABLE"],
        usage.kinds.iter().map(summary),
    );
    if args.verbose {
        for of in usage.kinds.iter().filter(|of| !of.objects.is_empty()) {
            print::line("");
            print::table(
                &[title(of.kind), "SIZE", "RECLAIMABLE", "USED BY"],
                of.objects.iter().map(object),
            );
        }
    }
    Ok(exit::OK)
}

fn summary(of: &UsageOf) -> Vec<String> {
    let is_used = !matches!(of.kind, UsageKind::Layers | UsageKind::Caches);
    vec![
        title(of.kind).to_owned(),
        of.count.to_string(),
        if is_used {
            of.used.to_string()
        } else {
            "-".to_owned()
        },
        bytes(of.bytes),
        reclaimable(of.reclaimable, of.bytes),
    ]
}

/// A size, and its part of the whole.
fn reclaimable(some: u64, all: u64) -> String {
    match all {
        0 => bytes(some),
        all => format!("{} ({}%)", bytes(some), some.saturating_mul(100) / all),
    }
}

fn object(object: &UsageObject) -> Vec<String> {
    let used_by = match (&object.used_by[..], object.is_used) {
        ([], true) => "running".to_owned(),
        ([], false) => "-".to_owned(),
        (names, _) => names.join(", "),
    };
    vec![
        object.name.clone(),
        bytes(object.bytes),
        bytes(object.reclaimable),
        used_by,
    ]
}

const fn title(kind: UsageKind) -> &'static str {
    match kind {
        UsageKind::Images => "IMAGES",
        UsageKind::Layers => "LAYERS",
        UsageKind::Kernels => "KERNELS",
        UsageKind::Vms => "VMS",
        UsageKind::Caches => "CACHES",
    }
}
