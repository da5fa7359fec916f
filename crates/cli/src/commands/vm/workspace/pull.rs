//! `banger vm workspace pull`

use banger_api::GUEST_PATH;
use banger_api::{WorkspacePulled, WorkspaceQuery};
use banger_client::Client;
use banger_command::failure::Failure;
use banger_command::work::shown;
use banger_command::{connection, print};
use banger_model::shell_word;

use super::which::Reported;

/// Bring the work of a VM back as git references
///
/// Fetches the guest's branches, and its uncommitted changes as one more commit, to refs/banger/VM/ of the repository
/// on this host. Your files, index and branches are never changed, whatever the guest did.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger vm workspace pull web
  git log refs/banger/web/HEAD          show what the guest committed
  git merge refs/banger/web/work        merge all of its work
  banger vm workspace apply web         merge it into a work tree with uncommitted changes")]
pub(crate) struct Args {
    #[command(flatten)]
    reported: Reported,
}

pub(super) async fn run(args: Args) -> Result<i32, Failure> {
    let client = connection::connect().await?;
    let which = &args.reported.which;
    let pulled = pull(&client, &which.vm, &which.query()).await?;
    args.reported
        .print(&pulled, |pulled| print_pulled(&which.vm, pulled))
}

/// Brings work back, and shows progress.
pub(super) async fn pull(
    client: &Client,
    vm: &str,
    query: &WorkspaceQuery,
) -> Result<WorkspacePulled, Failure> {
    shown("bringing the work back", async |progress| {
        client.pull_workspace(vm, query, progress).await
    })
    .await
}

/// Prints the new references, and the command that merges them.
pub(super) fn print_pulled(vm: &str, pulled: &WorkspacePulled) {
    for reference in &pulled.refs {
        let short = &reference.commit[..reference.commit.len().min(12)];
        print::line(&format!("{short}  {}", reference.name));
    }
    for note in &pulled.notes {
        print::notice!("note: {note}");
    }
    if pulled.refs.is_empty() {
        print::notice!("{}: nothing new", pulled.source.display());
    }
    let Some(tip) = &pulled.tip else { return };
    let repository = shell_word(&pulled.source.to_string_lossy());
    if pulled.dirty {
        // `git merge` refuses a work tree with uncommitted changes.
        print::notice!(
            "{} has uncommitted changes: apply the work with `banger vm workspace apply {vm}{}`",
            pulled.source.display(),
            match pulled.guest_path == GUEST_PATH {
                true => String::new(),
                false => format!(" {}", shell_word(&pulled.guest_path)),
            }
        );
    } else {
        print::notice!("merge the work with `git -C {repository} merge {tip}`");
    }
}
