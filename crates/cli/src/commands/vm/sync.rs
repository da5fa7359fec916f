//! `banger vm sync`

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use banger_api::GUEST_PATH;
use banger_command::failure::Failure;
use banger_command::output::Output;
use banger_command::progress::bytes;
use banger_command::work::interruptible;
use banger_command::{complete, exit, print};
use banger_transfer::sync::{Event, Extent, Sync, Syncing};

use crate::copy::Guest;

/// Mirror a local directory into a VM
///
/// Sends files whose size, time or mode differs; nothing is copied back. With --watch, changes are sent as they happen.
/// `.git`, files that git ignores and files that `.bangerignore` names (in gitignore syntax, tracked or not) are not
/// sent; nor are untracked files that look like secrets, whose names are printed. --delete does not remove files in the
/// VM that would not be sent.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger vm sync web --watch                send this repository to /root/repo until interrupted
  banger vm sync web ~/src/lib --guest-path /srv/lib
  banger vm sync web .:/srv/app             send this directory once
  banger vm sync web site:www --delete      mirror to /root/www, and remove other files there")]
#[command(mut_arg("json", |json| json.help("Print events as JSON, one object per line")))]
pub(crate) struct Args {
    /// Name of the VM
    #[arg(add = complete::vms())]
    vm: String,
    /// Path in a repository, to send the whole repository; or SRC:DST, a local directory and a directory in the VM,
    /// relative to /root
    #[arg(value_name = "PATH|SRC:DST", default_value = ".")]
    what: OsString,
    /// Directory in the VM for the repository; /root/repo if omitted. With this option, PATH may contain colons
    #[arg(long, value_name = "DIR", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    guest_path: Option<String>,
    /// Send changes as they happen
    #[arg(long)]
    watch: bool,
    /// Remove files in the VM that do not exist locally
    #[arg(long)]
    delete: bool,
    /// Also send untracked files that look like secrets
    #[arg(long)]
    include_secrets: bool,
    /// Send everything except `.git`, including ignored files and files that look like secrets
    #[arg(long)]
    all: bool,
    /// Owner and group of the copied files, as numbers
    #[arg(long, value_name = "UID:GID", value_parser = super::cp::owner)]
    owner: Option<(u32, u32)>,
    /// Print only notes and errors
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    output: Output,
}

pub(super) async fn run(args: Args) -> Result<i32, Failure> {
    let (root, to) = match (args.guest_path, directories(&args.what)) {
        (None, Some((here, there))) => (directory(here)?, named(&args.what, there)?),
        (guest_path, _) => {
            let to = guest_path.unwrap_or_else(|| GUEST_PATH.to_owned());
            (repository(Path::new(&args.what))?, to.into_bytes())
        }
    };
    let sync = Sync {
        root,
        to,
        delete: args.delete,
        extent: match (args.all, args.include_secrets) {
            (true, _) => Extent::All,
            (false, true) => Extent::WithSecrets,
            (false, false) => Extent::Usual,
        },
        owner: args.owner,
    };
    let mut show = |event: &Event<'_>| match (args.output.json, args.quiet) {
        (true, _) => drop(print::json_line(&json(event))),
        (false, quiet) => print_event(event, quiet),
    };
    interruptible(async {
        let guest = Guest::find(&args.vm).await?;
        Syncing::begin(&sync, args.watch, guest, &mut show)?.run().await
    })
    .await?;
    Ok(exit::OK)
}

/// Both sides of SRC:DST.
fn directories(what: &OsStr) -> Option<(&OsStr, &[u8])> {
    let bytes = what.as_bytes();
    let colon = bytes.iter().position(|&byte| byte == b':')?;
    Some((OsStr::from_bytes(&bytes[..colon]), &bytes[colon + 1..]))
}

/// The directory in the VM. An empty name is refused: nobody means all of /root by it.
fn named(what: &OsStr, there: &[u8]) -> Result<Vec<u8>, Failure> {
    if there.is_empty() {
        let message = format!("invalid argument \"{}\": no directory in the VM", what.display());
        return Err(Failure::new(message, &["to use all of /root, write `.:/root`"]));
    }
    Ok(there.to_vec())
}

/// The repository that contains a path.
fn repository(path: &Path) -> Result<PathBuf, Failure> {
    let path = real(path)?;
    let repository = path.ancestors().find(|dir| dir.join(".git").exists());
    let none = || {
        let name = "name a local directory and a directory in the VM: `.:/srv/app`";
        Failure::new(format!("not in a git repository: {}", path.display()), &[name])
    };
    Ok(repository.ok_or_else(none)?.to_owned())
}

fn directory(here: &OsStr) -> Result<PathBuf, Failure> {
    let root = real(Path::new(here))?;
    if root.is_dir() {
        return Ok(root);
    }
    let what = format!("not a directory: {}", here.display());
    Err(Failure::new(what, &["copy a file with `vm cp`"]))
}

fn real(path: &Path) -> Result<PathBuf, Failure> {
    let real = path.canonicalize();
    real.map_err(|error| Failure::during(format!("failed to access {}", path.display()), &error))
}

fn print_event(event: &Event<'_>, quiet: bool) {
    match event {
        Event::Skipped(path, why) => print::notice!("note: {} is not sent: {why}", path.display()),
        Event::Unasked(why) => print::notice!(
            "note: failed to ask git for tracked files, so all files that .gitignore names are skipped: {why}"
        ),
        _ if quiet => {}
        Event::Pushed(path) => print::line(&format!("push    {}", path.display())),
        Event::Removed(path) => print::line(&format!("remove  {}", String::from_utf8_lossy(path))),
        Event::Done {
            pushed,
            removed,
            bytes: sent,
        } => {
            print::notice!("sent {pushed} ({}), removed {removed}", bytes(*sent));
        }
        Event::Watching => print::notice!("watching for changes; stop with Ctrl-C"),
        Event::Restarted => print::notice!("note: bangerd was restarted; sending what differs"),
    }
}

fn json(event: &Event<'_>) -> serde_json::Value {
    match event {
        Event::Pushed(path) => serde_json::json!({"event": "push", "path": path.to_string_lossy()}),
        Event::Removed(path) => serde_json::json!({"event": "remove", "path": String::from_utf8_lossy(path)}),
        Event::Skipped(path, why) => {
            serde_json::json!({"event": "skip", "path": path.to_string_lossy(), "why": why})
        }
        Event::Unasked(why) => serde_json::json!({"event": "unasked", "why": why}),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_sides_are_told_apart_and_none_is_empty() {
        let sides = |what: &'static str| directories(OsStr::new(what));
        assert_eq!(sides("site:www"), Some((OsStr::new("site"), &b"www"[..])));
        assert_eq!(sides("a:/b:c"), Some((OsStr::new("a"), &b"/b:c"[..])));
        assert_eq!(sides("site"), None);
        assert!(named(OsStr::new("site:"), b"").is_err());
        assert!(directory(OsStr::new("")).is_err());
        assert!(directory(OsStr::new("/etc/hostname")).is_err());
    }

    #[test]
    fn the_repository_is_the_one_around_a_path() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("repo/.git")).unwrap();
        std::fs::create_dir_all(root.join("repo/deep")).unwrap();
        assert_eq!(repository(&root.join("repo/deep")).unwrap(), root.join("repo"));
    }
}
