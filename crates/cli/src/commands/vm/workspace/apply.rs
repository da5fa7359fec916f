//! `banger vm workspace apply`

use banger_api::WorkspaceApplied;
use banger_command::failure::Failure;
use banger_command::work::interruptible;
use banger_command::{connection, print};

use super::which::Reported;

/// Apply pulled work of a VM to the work tree on this host
///
/// Merges the work that `pull` brought back into your files, which may have uncommitted changes. Conflicts are detected
/// before any file is written. HEAD, index and branches do not change: the work arrives as uncommitted changes. The VM
/// does not need to run.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger vm workspace pull web && banger vm workspace apply web
  banger vm workspace apply web /srv/lib      apply the repository at /srv/lib, if there are several
  banger vm workspace apply web --json        list the changed files")]
pub(crate) struct Args {
    #[command(flatten)]
    reported: Reported,
}

pub(super) async fn run(args: Args) -> Result<i32, Failure> {
    let client = connection::connect().await?;
    let which = &args.reported.which;
    let (vm, query) = (&which.vm, which.query());
    let applied = interruptible(async { Ok(client.apply_workspace(vm, &query).await?) }).await?;
    args.reported.print(&applied, show)
}

fn show(applied: &WorkspaceApplied) {
    for change in &applied.changes {
        print::line(&format!("{}  {}", change.status, change.path));
    }
    for note in &applied.notes {
        print::notice!("note: {note}");
    }
    let count = applied.changes.len();
    let files = if count == 1 { "file" } else { "files" };
    print::notice!(
        "{}: {count} {files} changed by {}",
        applied.source.display(),
        applied.tip
    );
}
