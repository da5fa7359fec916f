//! `banger vm workspace export`

use std::io::Write;
use std::path::{Path, PathBuf};

use banger_api::WorkspaceQuery;
use banger_api::client::Client;

use super::which::Changes;
use crate::failure::Failure;
use crate::progress::bytes;
use crate::work::interruptible;
use crate::{connection, exit, print};

/// Write the changes that a VM made to a repository as a patch
///
/// All of them since the repository was placed: committed, uncommitted and untracked, binary files too. `git apply` takes
/// it in the repository as it was then.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger vm workspace export web | git apply
  banger vm workspace export web -o work.patch --base v1.2")]
pub(crate) struct Args {
    #[command(flatten)]
    changes: Changes,
    /// The file; standard output when absent
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(super) async fn run(args: Args) -> Result<i32, Failure> {
    let client = connection::connect().await?;
    let (vm, query) = (&args.changes.which.vm, args.changes.query());
    let Some(output) = args.output else {
        let mut shown = print::stream::log(false);
        write(&client, vm, &query, |bytes| {
            print::written(shown.show(bytes));
            Ok(())
        })
        .await?;
        return Ok(exit::OK);
    };
    let what = || format!("write {}", output.display());
    let dir = output.parent().filter(|dir| *dir != Path::new(""));
    // It has its name when it is whole.
    let mut file = tempfile::NamedTempFile::new_in(dir.unwrap_or(Path::new(".")))
        .map_err(|error| Failure::during(what(), &error))?;
    let written = interruptible(write(&client, vm, &query, |bytes| {
        file.as_file_mut().write_all(bytes)
    }))
    .await?;
    file.persist(&output)
        .map_err(|error| Failure::during(what(), &error.error))?;
    print::say!("{}: {}", output.display(), bytes(written));
    Ok(exit::OK)
}

async fn write(
    client: &Client,
    vm: &str,
    query: &WorkspaceQuery,
    mut to: impl FnMut(&[u8]) -> std::io::Result<()>,
) -> Result<u64, Failure> {
    let mut patch = client.workspace_patch(vm, query).await?;
    let mut written = 0;
    while let Some(bytes) = patch.next().await? {
        to(&bytes).map_err(|error| Failure::during("write the patch", &error))?;
        written += bytes.len() as u64;
    }
    Ok(written)
}
