//! `banger image export`

use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use banger_api::ImageExport;
use banger_client::Client;
use banger_command::failure::Failure;
use banger_command::output::Output;
use banger_command::progress::bytes;
use banger_command::values::absolute;
use banger_command::work::shown;
use banger_command::{complete, print};
use banger_model::Compression;

/// Export an image as an OCI archive
///
/// Each layer of the image becomes a layer of the archive; the same image always gives the same bytes. `docker load`,
/// `podman load`, `skopeo` and `banger image pull oci-archive:FILE` read the archive.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger image export dev
  banger image export dev -o dev.tar --compress gzip && docker load -i dev.tar
  banger image export dev -o - | ssh host banger image pull --name dev -")]
pub struct Args {
    /// Name of the image
    #[arg(add = complete::images())]
    name: String,
    /// File to write, or `-` for standard output; NAME.oci.tar if omitted
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Compression of layers; Docker reads zstd since version 23
    #[arg(long, value_enum, default_value_t = Compress::Zstd, value_name = "FORMAT")]
    compress: Compress,
    /// Replace an existing file
    #[arg(long, short)]
    force: bool,
    #[command(flatten)]
    printed: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Compress {
    Zstd,
    Gzip,
    None,
}

pub(super) async fn run(client: &Client, args: Args) -> Result<(), Failure> {
    let output = args
        .output
        .unwrap_or_else(|| PathBuf::from(format!("{}.oci.tar", args.name)));
    let to_stdout = output.as_os_str() == "-";
    if to_stdout && print::stream::stdout().is_terminal() {
        return Err(Failure::new(
            "an archive cannot be written to a terminal",
            &["write to a file: `-o FILE`"],
        ));
    }
    // The archive names its parts by their content, so it cannot be written sequentially. The directory is removed on
    // drop.
    let spool = match to_stdout {
        true => Some(
            tempfile::tempdir()
                .map_err(|error| Failure::during("failed to create a temporary directory", &error))?,
        ),
        false => None,
    };
    let path = match &spool {
        Some(spool) => spool.path().join("archive"),
        None => absolute(output)?,
    };
    let export = ImageExport {
        path,
        compression: match args.compress {
            Compress::Zstd => Compression::Zstd,
            Compress::Gzip => Compression::Gzip,
            Compress::None => Compression::None,
        },
        force: args.force,
    };
    let exported = shown("", async |progress| {
        client.export_image(&args.name, &export, progress).await
    })
    .await?;
    if to_stdout {
        let archive = std::fs::File::open(&exported.path);
        // The directory is removed now; the open file has no name that could be left behind.
        drop(spool);
        return copy_out(archive.map_err(|error| Failure::during("failed to read the archive", &error))?);
    }
    if args.printed.json {
        return Ok(print::json(&exported)?);
    }
    print::line(&format!(
        "{}: {} in {} layer(s), {}",
        exported.path.display(),
        bytes(exported.bytes),
        exported.layers,
        exported.manifest
    ));
    Ok(())
}

fn copy_out(mut file: std::fs::File) -> Result<(), Failure> {
    let mut stdout = print::stream::stdout().lock();
    print::written(std::io::copy(&mut file, &mut stdout).and_then(|_| stdout.flush()));
    Ok(())
}
