//! `banger vm workspace status`

use banger_api::WorkspaceStatus;
use banger_command::failure::Failure;
use banger_command::{connection, print};
use banger_model::shell_word;

use super::which::Reported;

/// Show what a VM has made of a repository
///
/// Lists the files that are not as they were placed, and says whether there is work that was not brought back. The guest's
/// own git is asked, and its index is left alone.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  banger vm workspace status web")]
pub(crate) struct Args {
    #[command(flatten)]
    reported: Reported,
}

pub(super) async fn run(args: Args) -> Result<i32, Failure> {
    let client = connection::connect().await?;
    let which = &args.reported.which;
    let status = client.workspace_status(&which.vm, &which.query()).await?;
    args.reported.print(&status, |status| tell(&which.vm, status))
}

fn tell(vm: &str, status: &WorkspaceStatus) {
    for change in &status.changes {
        print::line(&format!("{}  {}", change.status, change.path));
    }
    let branch = match (&status.branch, &status.head) {
        (Some(branch), _) => branch.clone(),
        (None, Some(head)) => head[..head.len().min(12)].to_owned(),
        (None, None) => "no commit yet".to_owned(),
    };
    print::say!(
        "{vm}: {} at {branch}, from {}: {} new commits, {} changed files",
        status.guest_path,
        status.source.display(),
        status.commits,
        status.changes.len()
    );
    if status.unsaved {
        print::say!(
            "bring it back with `banger vm workspace pull {vm} {}`",
            shell_word(&status.guest_path)
        );
    }
}
