//! `banger vm workspace prepare`

use std::path::PathBuf;

use banger_api::GUEST_PATH;
use banger_api::{WorkspaceMode, WorkspaceOmission, WorkspacePlan, WorkspaceReport, WorkspaceRequest};
use banger_client::Client;
use banger_command::failure::Failure;
use banger_command::output::{self, Output};
use banger_command::progress::bytes;
use banger_command::values::absolute;
use banger_command::work::shown;
use banger_command::{complete, connection, exit, print};
use banger_model::counted;

use super::which::Taken;

/// Copy a repository into a VM, or update an existing copy
///
/// Makes a git checkout of the repository that contains PATH: HEAD with some history, staged and unstaged changes, and
/// untracked files that are not ignored. Untracked files that look like secrets and files that `.bangerignore` names
/// are not copied; their names are printed. Your repository is not modified, and the guest needs no git.
///
/// Run the command again to send only what changed. Files that the guest changed are kept; if both sides changed a
/// file, the command fails.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger vm workspace prepare web                            copy this repository
  banger vm workspace prepare web ~/src/lib --guest-path /srv/lib
  banger vm workspace prepare web --branch fix --from v1.2   create branch fix at tag v1.2
  banger vm workspace prepare web --dry-run                  list the files that would be copied")]
pub(crate) struct Args {
    /// Name of the VM
    #[arg(add = complete::vms())]
    vm: String,
    /// Path in the repository
    #[arg(default_value = ".")]
    path: PathBuf,
    /// Directory in the VM for the repository
    #[arg(long, default_value = GUEST_PATH, value_name = "DIR")]
    guest_path: String,
    /// Which files to copy
    #[arg(long, value_enum, default_value_t = Mode::Overlay)]
    mode: Mode,
    /// Make the checkout read-only in the guest
    #[arg(long)]
    readonly: bool,
    /// Number of commits of history to copy; 10 if omitted
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    depth: Option<u32>,
    /// Copy the whole history
    #[arg(long, conflicts_with = "depth")]
    full: bool,
    #[command(flatten)]
    taken: Taken,
    /// Overwrite changes of the guest
    #[arg(long, short)]
    force: bool,
    /// List the files that would be copied, and exit
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    output: Output,
}

/// Which files of a repository are copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Mode {
    /// HEAD, and staged, unstaged and untracked changes
    Overlay,
    /// The same, and ignored files
    FullCopy,
    /// HEAD only
    Clean,
}

pub(super) async fn run(args: Args) -> Result<i32, Failure> {
    let client = connection::connect().await?;
    let request = WorkspaceRequest {
        mode: match args.mode {
            Mode::Overlay => WorkspaceMode::Overlay,
            Mode::FullCopy => WorkspaceMode::FullCopy,
            Mode::Clean => WorkspaceMode::Clean,
        },
        depth: args.depth.or(args.full.then_some(0)),
        readonly: args.readonly,
        force: args.force,
        ..args.taken.request(absolute(args.path)?, args.guest_path)
    };
    if args.dry_run {
        let plan = client.plan_workspace(&request).await?;
        match args.output.json {
            true => print::json(&plan)?,
            false => print_plan(&plan),
        }
        return Ok(exit::OK);
    }
    let report = place(&client, &args.vm, &request).await?;
    match args.output.json {
        true => print::json(&report)?,
        false => print_placed(&args.vm, &report),
    }
    Ok(exit::OK)
}

/// Copies a repository into a VM, and shows progress.
async fn place(client: &Client, vm: &str, request: &WorkspaceRequest) -> Result<WorkspaceReport, Failure> {
    shown("copying the repository", async |progress| {
        client.place_workspace(vm, request, progress).await
    })
    .await
}

/// Prints what was copied.
pub(crate) fn print_placed(vm: &str, report: &WorkspaceReport) {
    if !output::is_quiet() {
        placed(vm, report);
    }
    for path in &report.kept {
        print::notice!("note: {path} was changed in the guest and is kept");
    }
    for note in &report.notes {
        print::notice!("note: {note}");
    }
    print_omitted(&report.omitted);
}

fn placed(vm: &str, report: &WorkspaceReport) {
    print::notice!(
        "{vm}: {}, {} at {} ({}, {} sent)",
        files(report.files),
        bytes(report.bytes),
        report.guest_path,
        files(report.sent_files),
        bytes(report.sent_bytes)
    );
}

/// Prints what would be copied.
pub(crate) fn print_plan(plan: &WorkspacePlan) {
    let Some(root) = &plan.root else {
        print::line("not in a git repository: the VM would get no checkout");
        return;
    };
    let rows = plan
        .files
        .iter()
        .map(|file| vec![file.why.clone(), bytes(file.bytes), file.path.clone()]);
    print::table(&["WHY", "SIZE", "PATH"], rows);
    let head = plan
        .head
        .as_deref()
        .map_or("no commit yet", |head| &head[..head.len().min(12)]);
    let branch = plan.branch.as_deref().unwrap_or("no branch");
    print::notice!(
        "{}, {}, from {} ({branch}, {head})",
        files(plan.files.len() as u64),
        bytes(plan.bytes),
        root.display()
    );
    print_omitted(&plan.omitted);
}

fn files(number: u64) -> String {
    counted(number, "file", "files")
}

fn print_omitted(omitted: &[WorkspaceOmission]) {
    for omission in omitted {
        print::notice!("note: {} is not copied: it {}", omission.path, omission.why);
    }
}
