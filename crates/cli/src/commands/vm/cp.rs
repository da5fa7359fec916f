//! `banger vm cp`

use std::ffi::OsString;
use std::io::IsTerminal;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use banger_api::stream::{FilesDone, GetFiles, PutFiles, files};
use banger_archive::pack::{Packing, name_of};
use banger_archive::unpack::{Destination, LastLink, Links, Unpacking};
use banger_client::Client;
use banger_command::failure::Failure;
use banger_command::output::Output;
use banger_command::work::{interruptible, interruption};
use banger_command::{complete, connection, exit, print};
use banger_transfer::copy::{packed, pass_on, piped, receive, to_guest};

use crate::copy::{Guest, Meter, Place};

/// Copy files and directories into a VM, out of a VM, or between VMs
///
/// VM:PATH is a path in a VM, relative to /root. As with `cp -r`, SRC is copied into DST if DST is a directory, else it
/// becomes DST; SRC/. copies the content of the directory. Modes, times, symbolic links, hard links and holes are kept.
/// A file appears under its name only when it is complete.
///
/// Nothing that a guest sends is written outside DST; symbolic links that point outside SRC are skipped. DST may be
/// below a symbolic link, but must not be one: write DST/ for the directory that your link points to.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger vm cp notes.txt web:               copy to /root/notes.txt
  banger vm cp -a site/. web:/srv/www       copy the content of site, with owners
  banger vm cp web:/var/log ./log
  banger vm cp web:/etc/hosts db:/etc/hosts
  tar c src | banger vm cp - web:/usr/src   unpack a tar into a directory
  banger vm cp web:/etc - | tar t")]
pub(crate) struct Args {
    /// Files or directories to copy: local paths, VM:PATH, or `-` for a tar on standard input
    #[arg(required = true, value_name = "SRC", add = complete::places())]
    sources: Vec<OsString>,
    /// Destination: a local path, VM:PATH, or `-` for a tar on standard output
    #[arg(value_name = "DST", add = complete::places())]
    destination: OsString,
    /// Keep owners, set-id bits and all attributes, and copy devices and named pipes
    #[arg(long, short = 'a')]
    archive: bool,
    /// Copy the targets of symbolic links instead of the links
    #[arg(long, short = 'L')]
    follow_links: bool,
    /// Which symbolic links to copy out of a VM
    #[arg(long, value_enum, value_name = "WHICH", default_value_t = Which::Within)]
    links: Which,
    /// Owner and group of the copied files, as numbers
    #[arg(long, value_name = "UID:GID", value_parser = owner)]
    owner: Option<(u32, u32)>,
    /// Print only notes and errors
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    output: Output,
}

/// Which symbolic links of a VM are created elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Which {
    /// Links that point inside SRC
    Within,
    /// All links, unchanged
    Keep,
}

pub(super) fn owner(text: &str) -> Result<(u32, u32), String> {
    files::ids(text.as_bytes()).ok_or_else(|| "expected UID:GID, two numbers below 4294967295".to_owned())
}

/// The sources of a copy, which are all in one place.
enum Sources {
    Here(Vec<PathBuf>),
    Vm { name: String, paths: Vec<Vec<u8>> },
    Pipe,
}

pub(crate) async fn run(args: Args) -> Result<i32, Failure> {
    let sources = sources(&args.sources)?;
    let destination = Place::parse(args.destination.clone());
    if matches!(destination, Place::Pipe) && print::stream::stdout().is_terminal() {
        return Err(Failure::new(
            "an archive cannot be written to a terminal",
            &["redirect it to a file: `> FILE`"],
        ));
    }
    let meter = Meter::new(total(&sources), args.quiet);
    let client = connection::connect().await?;
    let done = match (sources, destination) {
        (Sources::Here(paths), Place::Vm { name, path }) => {
            send(&client, &args, &meter, paths, &name, path).await?
        }
        (Sources::Pipe, Place::Vm { name, path }) => {
            let put = put(&args, path, Vec::new());
            let guest = Guest::once(&client, &name);
            let sent = piped(std::io::stdin(), &guest, &put, meter.counter());
            meter.during(interruptible(sent)).await?
        }
        (Sources::Vm { name, paths }, to) => fetch(&client, &args, &meter, &name, paths, to).await?,
        _ => return Err(neither()),
    };
    if args.output.json {
        for note in &done.notes {
            print::notice!("note: {note}");
        }
        print::json(&done)?;
    } else {
        meter.print(&done);
    }
    Ok(exit::OK)
}

fn neither() -> Failure {
    Failure::new(
        "neither source nor destination is in a VM",
        &["write a path in a VM as VM:PATH, such as web:/srv"],
    )
}

fn sources(given: &[OsString]) -> Result<Sources, Failure> {
    let mut all: Option<Sources> = None;
    for text in given {
        let place = Place::parse(text.clone());
        match (&mut all, place) {
            (None, Place::Here(path)) => all = Some(Sources::Here(vec![path])),
            (None, Place::Vm { name, path }) => {
                all = Some(Sources::Vm {
                    name,
                    paths: vec![path],
                })
            }
            (None, Place::Pipe) => all = Some(Sources::Pipe),
            (Some(Sources::Here(paths)), Place::Here(path)) => paths.push(path),
            (Some(Sources::Vm { name, paths }), Place::Vm { name: other, path }) if *name == other => {
                paths.push(path)
            }
            _ => {
                return Err(Failure::new(
                    "the sources are in different places",
                    &["copy from one VM, or from this host, in each command"],
                ));
            }
        }
    }
    all.ok_or_else(neither)
}

/// Total size of the sources, if it is known immediately.
fn total(sources: &Sources) -> Option<u64> {
    let Sources::Here(paths) = sources else {
        return None;
    };
    let sizes = paths.iter().map(|path| {
        let metadata = std::fs::symlink_metadata(path).ok()?;
        metadata.is_file().then_some(metadata.len())
    });
    sizes.sum()
}

fn put(args: &Args, path: Vec<u8>, names: Vec<Vec<u8>>) -> PutFiles {
    PutFiles {
        path,
        names,
        all: args.archive,
        owner: args.owner,
        replace: false,
        within: false,
    }
}

/// The names at the top of an archive; empty if any path means the content of a directory.
fn names<'a>(paths: impl Iterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
    paths.map(name_of).collect::<Option<_>>().unwrap_or_default()
}

async fn send(
    client: &Client,
    args: &Args,
    meter: &Meter,
    paths: Vec<PathBuf>,
    name: &str,
    to: Vec<u8>,
) -> Result<FilesDone, Failure> {
    for path in &paths {
        let looked = std::fs::symlink_metadata(path);
        looked.map_err(|error| Failure::during(format!("failed to access {}", path.display()), &error))?;
    }
    let put = put(
        args,
        to,
        names(paths.iter().map(|path| path.as_os_str().as_bytes())),
    );
    let packing = Packing {
        all: args.archive,
        follow: args.follow_links,
        pad: false,
    };
    let guest = Guest::once(client, name);
    let sent = packed(&guest, &put, packing, meter.counter(), move |packer| {
        paths.iter().try_for_each(|path| {
            let name = name_of(path.as_os_str().as_bytes());
            packer.tree(path, &name.unwrap_or_default())
        })
    });
    meter.during(interruptible(sent)).await
}

async fn fetch(
    client: &Client,
    args: &Args,
    meter: &Meter,
    name: &str,
    paths: Vec<Vec<u8>>,
    to: Place,
) -> Result<FilesDone, Failure> {
    let names = names(paths.iter().map(Vec::as_slice));
    let get = GetFiles {
        paths,
        all: args.archive,
        follow: args.follow_links,
    };
    match to {
        Place::Here(path) => {
            let (to, unpacking) = destination(args, &path, names)?;
            let files = interruptible(async { Ok(client.get_files(name, &get).await?) }).await?;
            let copied = receive(files, to, unpacking, meter.counter(), interruption()?);
            Ok(meter.during(copied).await?)
        }
        Place::Pipe => {
            let passed = async {
                let files = client.get_files(name, &get).await?;
                Ok(pass_on(files, print::stream::stdout(), meter.counter()).await?)
            };
            let (done, written) = interruptible(meter.during(passed)).await?;
            print::written(written);
            Ok(done)
        }
        Place::Vm { name: other, path } => {
            let put = PutFiles {
                within: args.links == Which::Within,
                ..put(args, path, names)
            };
            let passed = async {
                let files = client.get_files(name, &get).await?;
                to_guest(files, &Guest::once(client, &other), &put, meter.counter()).await
            };
            interruptible(meter.during(passed)).await
        }
    }
}

fn destination(args: &Args, path: &Path, names: Vec<Vec<u8>>) -> Result<(Destination, Unpacking), Failure> {
    let mut unpacking = Unpacking {
        all: args.archive,
        owner: args.owner,
        reserve: true,
        links: match args.links {
            Which::Within => Links::Within,
            Which::Keep => Links::Keep,
        },
        ..Unpacking::default()
    };
    // Independent of `--links`: a link that an earlier copy created must not redirect this copy.
    let to = Destination::find(path, &names, LastLink::Refused, &mut unpacking);
    let to = to.map_err(|error| Failure::during("failed to copy files out of the VM", &error))?;
    // A guest can only write the requested names.
    unpacking.tops = names;
    Ok((to, unpacking))
}
