//! `banger vm workspace status`

use banger_api::WorkspaceStatus;

use super::which::Which;
use crate::failure::Failure;
use crate::{connection, exit, print};

/// Show what a VM has made of a repository
///
/// Lists the files that are not as they were placed, and says whether there is work that was not brought back. The guest's
/// own git is asked, and its index is left alone.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  banger vm workspace status web")]
pub(crate) struct Args {
    #[command(flatten)]
    which: Which,
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> Result<i32, Failure> {
    let client = connection::connect().await?;
    let Which { vm, .. } = &args.which;
    let status = client.workspace_status(vm, &args.which.query()).await?;
    match args.json {
        true => print::json(&status)?,
        false => tell(vm, &status),
    }
    Ok(exit::OK)
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
        print::say!("bring it back with `banger vm workspace pull {vm}`");
    }
}
