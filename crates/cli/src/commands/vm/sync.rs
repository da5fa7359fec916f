//! `banger vm sync`

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::run::GUEST_PATH;
use crate::failure::Failure;
use crate::progress::bytes;
use crate::sync::{Event, Sync, Syncing};
use crate::work::interruptible;
use crate::{complete, exit, print};

/// Keep a directory of a VM like one here
///
/// What differs by size, time or mode goes into the VM; nothing comes back. With --watch, changes go on to be sent as they
/// happen. What git ignores stays here, tracked or not, and what `.bangerignore` files say in the same language; so does
/// `.git`. With --delete, what is ignored is not removed in the VM either.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger vm sync web --watch                the repository around here, to /root/repo, until it is interrupted
  banger vm sync web .:/srv/app             once
  banger vm sync web site:www --delete      to /root/www, and nothing else stays there")]
pub(crate) struct Args {
    #[arg(add = complete::vms())]
    vm: String,
    /// A directory here, and one in the VM; a relative one there begins at /root. Otherwise the repository around here, and
    /// its workspace in the VM
    #[arg(value_name = "SRC:DST", value_parser = clap::builder::OsStringValueParser::new())]
    what: Option<OsString>,
    /// Send changes as they happen
    #[arg(long)]
    watch: bool,
    /// Remove in the VM what is not here
    #[arg(long)]
    delete: bool,
    /// Send what is ignored, too
    #[arg(long)]
    all: bool,
    /// Give everything to this user and group, by number
    #[arg(long, value_name = "UID:GID", value_parser = super::cp::owner)]
    owner: Option<(u32, u32)>,
    /// Say nothing but what went wrong
    #[arg(long, short)]
    quiet: bool,
    /// Print what happens as lines of JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> Result<i32, Failure> {
    let (root, to) = args.what.as_ref().map_or_else(around_here, parsed)?;
    let sync = Sync {
        root,
        vm: args.vm,
        to,
        delete: args.delete,
        all: args.all,
        owner: args.owner,
    };
    let mut tell = |event: &Event<'_>| match (args.json, args.quiet) {
        (true, _) => print::line(&json(event).to_string()),
        (false, quiet) => told(event, quiet),
    };
    interruptible(async { Syncing::begin(&sync, args.watch, &mut tell).await?.run().await }).await?;
    Ok(exit::OK)
}

/// The repository around the current directory, and where `vm run` places it.
fn around_here() -> Result<(PathBuf, Vec<u8>), Failure> {
    let here = std::env::current_dir().map_err(|error| Failure::during("look where this is", &error))?;
    let repository = here.ancestors().find(|dir| dir.join(".git").exists());
    let none = || {
        let name = "name a directory here and one in the VM: `.:/srv/app`";
        Failure::new("there is no git repository around here", &[name])
    };
    let root = repository.ok_or_else(none)?.to_owned();
    Ok((root, GUEST_PATH.as_bytes().to_owned()))
}

fn parsed(what: &OsString) -> Result<(PathBuf, Vec<u8>), Failure> {
    let bytes = what.as_bytes();
    let colon = bytes.iter().position(|&byte| byte == b':');
    let parts = colon.map(|colon| (&bytes[..colon], &bytes[colon + 1..]));
    let Some((here, there)) = parts.filter(|(here, there)| !here.is_empty() && !there.is_empty()) else {
        return Err(Failure::new(
            format!("`{}` is not SRC:DST", what.display()),
            &["name a directory here and one in the VM: `.:/srv/app`"],
        ));
    };
    let here = PathBuf::from(std::ffi::OsStr::from_bytes(here));
    let root = here.canonicalize();
    let root = root.map_err(|error| Failure::during(format!("look at {}", here.display()), &error))?;
    if !root.is_dir() {
        return Err(Failure::new(
            format!("{} is no directory", here.display()),
            &["a file goes by `banger vm cp`"],
        ));
    }
    Ok((root, there.to_vec()))
}

fn told(event: &Event<'_>, quiet: bool) {
    match event {
        Event::Skipped(path, why) => eprintln!("note: {} stays here: {why}", path.display()),
        _ if quiet => {}
        Event::Pushed(path) => print::line(&format!("push    {}", path.display())),
        Event::Removed(path) => print::line(&format!("remove  {}", String::from_utf8_lossy(path))),
        Event::Done {
            pushed,
            removed,
            bytes: sent,
        } => {
            eprintln!("sent {pushed} ({}), removed {removed}", bytes(*sent));
        }
        Event::Watching => eprintln!("watching for changes; Ctrl-C ends it"),
        Event::Restarted => eprintln!("note: bangerd was restarted; what differs is sent"),
    }
}

fn json(event: &Event<'_>) -> serde_json::Value {
    match event {
        Event::Pushed(path) => serde_json::json!({"event": "push", "path": path.to_string_lossy()}),
        Event::Removed(path) => serde_json::json!({"event": "remove", "path": String::from_utf8_lossy(path)}),
        Event::Skipped(path, why) => {
            serde_json::json!({"event": "skip", "path": path.to_string_lossy(), "why": why})
        }
        Event::Done {
            pushed,
            removed,
            bytes,
        } => {
            serde_json::json!({"event": "done", "pushed": pushed, "removed": removed, "bytes": bytes})
        }
        Event::Watching => serde_json::json!({"event": "watching"}),
        Event::Restarted => serde_json::json!({"event": "restarted"}),
    }
}
