//! `banger system prune`

use banger_api::{Prune, Pruned};
use banger_cli_stores::prune::What;
use banger_command::failure::Failure;
use banger_command::output::Output;
use banger_command::progress::bytes;
use banger_command::{ask, connection, exit, print};
use serde::Serialize;

/// Remove cached files, and unused images, kernels and VMs if asked for
///
/// Without options, only files are removed that banger creates again when needed. Images and kernels that were built or
/// imported here are kept: `banger image prune --all` and `banger kernel prune --all` remove them. VMs with unsaved work
/// are kept, too.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger system prune --dry-run --all --vms      print what would be removed
  banger system prune --all                      also remove unused images and kernels
  banger system prune --all --vms --yes          also remove all stopped VMs; do not ask")]
pub(crate) struct Args {
    /// Also remove images and kernels that no VM uses and that can be pulled again
    #[arg(long, short)]
    all: bool,
    /// Also remove all VMs that are not running, with their disks
    #[arg(long)]
    vms: bool,
    /// Print what would be removed, and remove nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask for confirmation
    #[arg(long, short, visible_alias = "force", visible_short_alias = 'f')]
    yes: bool,
    #[command(flatten)]
    output: Output,
}

impl Args {
    /// What is to be removed, in that order: a VM uses an image.
    fn kinds(&self) -> Vec<What> {
        let vms = self.vms.then_some(What::Vms);
        let stores = [What::Images { all: false }, What::Kernels { all: false }];
        let stores = stores.into_iter().filter(|_| self.all);
        vms.into_iter().chain(stores).chain([What::Cache]).collect()
    }

    /// The same command without a question.
    const fn instead(&self) -> &'static str {
        match (self.all, self.vms) {
            (true, true) => "banger system prune --all --vms --yes",
            (true, false) => "banger system prune --all --yes",
            (false, true) => "banger system prune --vms --yes",
            (false, false) => "banger system prune --yes",
        }
    }
}

pub(super) async fn run(args: Args) -> Result<i32, Failure> {
    let client = connection::connect().await?;
    let mut found: Vec<(What, Pruned)> = Vec::new();
    for what in args.kinds() {
        let names = |wanted: fn(&What) -> bool| {
            let of = found.iter().filter(|(what, _)| wanted(what));
            of.flat_map(|(_, pruned)| pruned.names.clone()).collect()
        };
        // What only these use is not in use when its turn comes.
        let dry = Prune {
            dry_run: true,
            without_vms: names(|what| matches!(what, What::Vms)),
            without_images: names(|what| matches!(what, What::Images { .. })),
            ..Prune::default()
        };
        let pruned = what.prune(&client, &dry).await?;
        found.push((what, pruned));
    }
    if !args.output.json {
        let kept = found.iter().flat_map(|(_, pruned)| &pruned.kept);
        kept.for_each(|kept| print::notice!("note: {kept}"));
    }
    if args.dry_run || found.iter().all(|(_, pruned)| pruned.names.is_empty()) {
        return finished(args.output, found, "would be freed");
    }
    let total: u64 = found.iter().map(|(_, pruned)| pruned.bytes).sum();
    found.retain(|(_, pruned)| !pruned.names.is_empty());
    // Cached files alone need no confirmation.
    let asks = found.iter().any(|(what, _)| !matches!(what, What::Cache));
    if asks && !args.yes {
        let objects = found.iter().map(|(what, pruned)| {
            let (noun, names) = (what.noun(pruned.names.len()), pruned.names.join(", "));
            match what {
                What::Cache => format!("{} {noun}", pruned.names.len()),
                _ => format!("{noun} {names}"),
            }
        });
        let objects: Vec<String> = objects.collect();
        let question = format!("Remove {} ({})?", objects.join("; "), bytes(total));
        if !ask::sure(&question, args.instead())? {
            return Ok(exit::FAILED);
        }
    }
    let mut removed = Vec::new();
    for (what, pruned) in found {
        let agreed = Prune {
            only: Some(pruned.names),
            ..Prune::default()
        };
        removed.push((what, what.prune(&client, &agreed).await?));
    }
    finished(args.output, removed, "freed")
}

/// What was removed of one kind, in JSON.
#[derive(Debug, Serialize)]
struct Of {
    kind: &'static str,
    #[serde(flatten)]
    pruned: Pruned,
}

fn finished(output: Output, all: Vec<(What, Pruned)>, freed: &str) -> Result<i32, Failure> {
    let all: Vec<Of> = all
        .into_iter()
        .map(|(what, pruned)| Of {
            kind: what.noun(1),
            pruned,
        })
        .collect();
    output.print(&all, |all| {
        for of in all {
            for name in &of.pruned.names {
                print::line(&format!("{} {name}", of.kind));
            }
        }
        let total: u64 = all.iter().map(|of| of.pruned.bytes).sum();
        print::notice!("{} {freed}", bytes(total));
    })?;
    Ok(exit::OK)
}
