//! `banger vm workspace export`

use std::fs::{File, FileType, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use banger_api::WorkspaceQuery;
use banger_client::Client;
use banger_command::failure::Failure;
use banger_command::output::Output;
use banger_command::progress::bytes;
use banger_command::work::interruptible;
use banger_command::{connection, exit, print};
use banger_hostfs::{Dir, Kind, Reserve};
use rustix::fs::OFlags;
use serde_json::json;

use super::which::Changes;

/// Write the changes that a VM made to a repository as a patch
///
/// Writes all changes since the repository was copied: committed, uncommitted and untracked, including binary files.
/// `git apply` applies the patch to the repository in the state in which it was copied.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger vm workspace export web | git apply
  banger vm workspace export web -o work.patch --base v1.2")]
pub(crate) struct Args {
    #[command(flatten)]
    changes: Changes,
    /// File to write; standard output if omitted
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    printed: Output,
}

pub(super) async fn run(args: Args) -> Result<i32, Failure> {
    let client = connection::connect().await?;
    let (vm, query) = (&args.changes.which.vm, args.changes.query());
    let Some(output) = args.output else {
        if args.printed.json {
            print::json(&args.changes.patch(&client).await?)?;
            return Ok(exit::OK);
        }
        let mut shown = print::stream::log(false);
        write(&client, vm, &query, |bytes| {
            print::written(shown.show(bytes));
            Ok(())
        })
        .await?;
        return Ok(exit::OK);
    };
    let named = format!("failed to write {}", output.display());
    if let Some(mut stream) = stream(&output).map_err(|error| Failure::during(&*named, &error))? {
        let written = write(&client, vm, &query, |bytes| stream.write_all(bytes)).await?;
        if args.printed.json {
            print::json(&json!({ "path": output, "bytes": written }))?;
        }
        return Ok(exit::OK);
    }
    let failed = |error: banger_hostfs::Error| Failure::during(&*named, &error);
    let Some((dir, name)) = Dir::around(&output).map_err(failed)? else {
        let message = format!("{} is a directory", output.display());
        return Err(Failure::new(message, &["name a file in it"]));
    };
    // A link from an earlier copy out of a guest must not redirect the output, and a link of the user is not replaced
    // unasked.
    if dir.kind(&name).map_err(failed)? == Some(Kind::Symlink) {
        let message = format!("{} is a symbolic link", output.display());
        let hint = "name the target of the link, or remove the link";
        return Err(Failure::new(message, &[hint]).exiting(exit::CONFLICT));
    }
    // The file gets its name when it is complete.
    let mut fresh = dir.fresh().map_err(failed)?;
    let mut reserve = Reserve::of(&dir);
    let written = interruptible(write(&client, vm, &query, |bytes| {
        reserve.more(&fresh, &output, bytes.len() as u64)?;
        fresh.file().write_all(bytes)
    }))
    .await?;
    fresh.name(&name, false).map_err(failed)?;
    args.printed
        .print(&json!({ "path": output, "bytes": written }), |_| {
            print::notice!("{}: {}", output.display(), bytes(written));
        })?;
    Ok(exit::OK)
}

/// The output if it is a stream: a device such as `/dev/null`, a named pipe, or one of our own streams.
fn stream(output: &Path) -> std::io::Result<Option<File>> {
    const STREAMS: [&str; 3] = ["/dev/stdout", "/dev/stderr", "/dev/fd"];
    let is_ours = STREAMS.iter().any(|stream| output.starts_with(stream));
    let takes_bytes = |kind: FileType| kind.is_fifo() || kind.is_char_device();
    let is_stream = is_ours
        || output
            .symlink_metadata()
            .is_ok_and(|metadata| takes_bytes(metadata.file_type()));
    if !is_stream {
        return Ok(None);
    }
    let mut options = OpenOptions::new();
    options.write(true);
    if !is_ours {
        options.custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    }
    options.open(output).map(Some)
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
        to(&bytes).map_err(|error| Failure::during("failed to write the patch", &error))?;
        written += bytes.len() as u64;
    }
    Ok(written)
}
