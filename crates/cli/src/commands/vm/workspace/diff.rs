//! `banger vm workspace diff`

use std::io::IsTerminal;

use banger_api::WorkspaceQuery;
use banger_command::failure::Failure;
use banger_command::output::Output;
use banger_command::print::{self, stream};
use banger_command::{connection, exit};

use super::which::Changes;

/// Show the changes that a VM made to a repository as a diff
///
/// Shows all changes since the repository was copied: committed, uncommitted and untracked.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger vm workspace diff web | less -R
  banger vm workspace diff web --base v1.2")]
pub(crate) struct Args {
    #[command(flatten)]
    changes: Changes,
    #[command(flatten)]
    output: Output,
}

pub(super) async fn run(args: Args) -> Result<i32, Failure> {
    let client = connection::connect().await?;
    if args.output.json {
        print::json(&args.changes.patch(&client).await?)?;
        return Ok(exit::OK);
    }
    let query = WorkspaceQuery {
        color: print::stream::stdout().is_terminal(),
        ..args.changes.query()
    };
    let mut patch = client.workspace_patch(&args.changes.which.vm, &query).await?;
    let mut shown = stream::log(false);
    while let Some(bytes) = patch.next().await? {
        print::written(shown.show(&bytes));
    }
    Ok(exit::OK)
}
