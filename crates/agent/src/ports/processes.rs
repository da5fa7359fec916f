//! Which processes hold sockets.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use banger_guest_api::Process;
use banger_guest_api::sockets::{Listening, inode_of_link};

/// The process with the lowest id that holds each of `sockets`, by the socket's number. Only processes that work below
/// `root` count, unless it is empty. What ends while it is looked at is passed over.
pub(super) fn holders(sockets: &[Listening], root: &Path) -> BTreeMap<u64, Process> {
    let wanted: BTreeSet<u64> = sockets.iter().map(|socket| socket.inode).collect();
    let mut ids: Vec<u32> = entries(Path::new("/proc"))
        .filter_map(|name| name.parse().ok())
        .collect();
    ids.sort_unstable();
    let mut holders = BTreeMap::new();
    for pid in ids {
        if holders.len() == wanted.len() {
            break;
        }
        let dir = Path::new("/proc").join(pid.to_string());
        let is_ours = || {
            let place = std::fs::read_link(dir.join("cwd"));
            root.as_os_str().is_empty() || place.is_ok_and(|place| place.starts_with(root))
        };
        let held: Vec<u64> = held(&dir.join("fd"))
            .filter(|inode| wanted.contains(inode))
            .collect();
        if held.is_empty() || !is_ours() {
            continue;
        }
        let process = Process {
            pid,
            command: command(&dir),
        };
        for inode in held {
            holders.entry(inode).or_insert_with(|| process.clone());
        }
    }
    holders
}

fn held(descriptors: &Path) -> impl Iterator<Item = u64> {
    entries(descriptors).filter_map(|name| {
        let link = std::fs::read_link(descriptors.join(name)).ok()?;
        inode_of_link(link.as_os_str().as_bytes())
    })
}

fn entries(dir: &Path) -> impl Iterator<Item = String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok())
}

/// Its name, of which a process may make anything.
fn command(process: &Path) -> String {
    let name = std::fs::read(process.join("comm")).unwrap_or_default();
    let name = String::from_utf8_lossy(&name);
    name.chars().filter(|c| !c.is_control()).take(64).collect()
}
