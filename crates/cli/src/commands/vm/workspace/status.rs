//! `banger vm workspace status`

use banger_api::WorkspaceStatus;
use banger_command::failure::Failure;
use banger_command::{connection, print};
use banger_model::{counted, shell_word};

use super::which::Reported;

/// Show what a VM changed in a repository
///
/// Lists the files that changed since the repository was copied, and reports work that was not pulled. Uses the
/// guest's own git, without modifying its index.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger vm workspace status web
  banger vm workspace status web /srv/lib --json")]
pub(crate) struct Args {
    #[command(flatten)]
    reported: Reported,
}

pub(super) async fn run(args: Args) -> Result<i32, Failure> {
    let client = connection::connect().await?;
    let which = &args.reported.which;
    let status = client.workspace_status(&which.vm, &which.query()).await?;
    args.reported
        .print(&status, |status| print_status(&which.vm, status))
}

fn print_status(vm: &str, status: &WorkspaceStatus) {
    for change in &status.changes {
        print::line(&format!("{}  {}", change.status, change.path));
    }
    let branch = match (&status.branch, &status.head) {
        (Some(branch), _) => branch.clone(),
        (None, Some(head)) => head[..head.len().min(12)].to_owned(),
        (None, None) => "no commit yet".to_owned(),
    };
    print::notice!(
        "{vm}: {} at {branch}, from {}: {}, {}",
        status.guest_path,
        status.source.display(),
        counted(status.commits, "new commit", "new commits"),
        counted(status.changes.len() as u64, "changed file", "changed files")
    );
    for note in &status.notes {
        print::notice!("note: {note}");
    }
    if status.unsaved {
        print::notice!(
            "bring the work back with `banger vm workspace pull {vm} {}`",
            shell_word(&status.guest_path)
        );
    }
}
