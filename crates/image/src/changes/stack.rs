//! Layers on top of each other, as container runtimes show them.
//!
//! A layer is a set: what it comes to does not depend on the order of its entries (the specification's `layer.md`).
//! First its whiteouts and opaque marks remove what *lower* layers have at these paths, and at no others: a mark never goes
//! through a symbolic link. That a directory has a mark says that it is a directory of the layer, so what lower layers
//! have there instead, such as a link, is replaced. Then come directories and symbolic links, parents first, then all other
//! entries, and hard links after what they lead to. An entry replaces what is at its path; a directory on a directory keeps
//! what is in it. Only a layer that says two things of one path is taken in its order: the last one counts.

use std::collections::{HashMap, HashSet};

use banger_archive::{Entry, EntryKind};

use super::change::{AUFS_LINKED, Change, Changes};
use crate::error::WriteError;
use crate::tree::Tree;

/// Makes a layer's changes. Its lane has been joined.
pub(crate) fn add(tree: &mut Tree, layer: Changes) -> Result<(), WriteError> {
    let is_mark = |change: &Change| matches!(change, Change::Whiteout(_) | Change::Opaque(_));
    let (marks, mut own): (Vec<Change>, Vec<Change>) = layer.list.into_iter().partition(is_mark);
    if !marks.is_empty() {
        pin_lower(tree, &mut own)?;
    }
    for mark in marks {
        match mark {
            Change::Whiteout(path) => tree.remove_lower(&path)?,
            Change::Opaque(path) => tree.empty_lower(&path, AUFS_LINKED)?,
            Change::File { .. } | Change::Entry(_) => unreachable!("they are no marks"),
        }
    }
    let is_consistent = put_in_order(&mut own);
    if is_consistent {
        own = hard_links_last(own);
    }
    for change in own {
        match change {
            Change::File {
                name,
                meta,
                stored,
                content,
            } => tree.stored_file(relative(&name), meta, stored, content.as_deref())?,
            Change::Entry(entry) => put(tree, entry)?,
            Change::Whiteout(_) | Change::Opaque(_) => unreachable!("marks were taken out"),
        }
    }
    // Whatever should have another name has it by now.
    tree.remove_lower(AUFS_LINKED)
}

/// Gives what hard links lead to in lower layers another name, where no mark finds it: a layer may link to a file and say
/// that its old name is gone. These names go with those of AUFS.
fn pin_lower(tree: &mut Tree, own: &mut [Change]) -> Result<(), WriteError> {
    let names: HashSet<Vec<u8>> = own.iter().map(|change| plain(name_of(change))).collect();
    for (index, change) in own.iter_mut().enumerate() {
        let Change::Entry(Entry {
            kind: EntryKind::HardLink(existing),
            ..
        }) = change
        else {
            continue;
        };
        if names.contains(&plain(existing)) || !tree.has_file(relative(existing))? {
            continue;
        }
        let pin = [AUFS_LINKED, format!("/.wh.pinned/{index}").as_bytes()].concat();
        tree.hard_link(&pin, relative(existing))?;
        *existing = pin;
    }
    Ok(())
}

/// Some builders write names with a slash in front; in a layer it means the image's root.
fn relative(name: &[u8]) -> &[u8] {
    let slashes = name.iter().take_while(|&&byte| byte == b'/').count();
    &name[slashes..]
}

/// A name without the parts that say nothing.
fn plain(name: &[u8]) -> Vec<u8> {
    let parts = name
        .split(|&byte| byte == b'/')
        .filter(|part| !matches!(*part, b"" | b"."));
    parts.collect::<Vec<_>>().join(&b'/')
}

fn name_of(change: &Change) -> &[u8] {
    match change {
        Change::File { name, .. } | Change::Whiteout(name) | Change::Opaque(name) => name,
        Change::Entry(entry) => &entry.name,
    }
}

/// Directories and links come before what may lie below them, and all by their names, so that nothing depends on how they
/// came. Tells whether it could be done: not if the layer says two things of a path.
fn put_in_order(own: &mut [Change]) -> bool {
    let rank = |change: &Change| match change {
        Change::Entry(Entry {
            kind: EntryKind::Directory | EntryKind::Symlink(_),
            ..
        }) => 0_u8,
        _ => 1,
    };
    let is_directory = |change: &Change| {
        matches!(
            change,
            Change::Entry(Entry {
                kind: EntryKind::Directory,
                ..
            })
        )
    };
    let mut seen: HashMap<Vec<u8>, bool> = HashMap::with_capacity(own.len());
    for change in own.iter() {
        let directory = is_directory(change);
        if let Some(before) = seen.insert(plain(name_of(change)), directory)
            && !(before && directory)
        {
            return false;
        }
    }
    drop(seen);
    own.sort_by_cached_key(|change| {
        let name = plain(name_of(change));
        let depth = match rank(change) {
            0 => name.iter().filter(|&&byte| byte == b'/').count(),
            _ => 0,
        };
        (rank(change), depth, name)
    });
    true
}

/// The same, and each hard link after what it leads to, which may be another one.
fn hard_links_last(own: Vec<Change>) -> Vec<Change> {
    let is_link = |change: &Change| {
        matches!(
            change,
            Change::Entry(Entry {
                kind: EntryKind::HardLink(_),
                ..
            })
        )
    };
    let (links, mut ordered): (Vec<Change>, Vec<Change>) = own.into_iter().partition(is_link);
    let places: HashMap<Vec<u8>, usize> = links
        .iter()
        .enumerate()
        .map(|(index, link)| (plain(name_of(link)), index))
        .collect();
    let targets: Vec<Option<usize>> = links
        .iter()
        .map(|link| match link {
            Change::Entry(Entry {
                kind: EntryKind::HardLink(existing),
                ..
            }) => places.get(&plain(existing)).copied(),
            _ => None,
        })
        .collect();
    let mut links: Vec<Option<Change>> = links.into_iter().map(Some).collect();
    for index in 0..links.len() {
        // To the end of the chain, or of what was not taken yet; a circle ends where it began.
        let mut chain = vec![index];
        while let Some(next) = chain.last().and_then(|&last| targets[last]) {
            if links[next].is_none() || chain.len() > links.len() {
                break;
            }
            chain.push(next);
        }
        ordered.extend(chain.into_iter().rev().filter_map(|index| links[index].take()));
    }
    ordered
}

fn put(tree: &mut Tree, entry: Entry) -> Result<(), WriteError> {
    let Entry { name, meta, kind } = entry;
    let name = relative(&name);
    match kind {
        EntryKind::HardLink(existing) => tree.hard_link(name, relative(&existing)),
        kind => tree.entry(
            Entry {
                name: name.to_vec(),
                meta,
                kind,
            },
            &mut std::io::empty(),
        ),
    }
}
