//! Layers on top of each other, as container runtimes show them.
//!
//! An entry replaces what lower layers have at its path; a directory on a directory keeps what is in it. Whiteouts
//! remove what *lower* layers have, wherever in their own layer they stand (the specification's `layer.md`).

use std::collections::HashSet;

use super::{AUFS_LINKED, Change, Changes};
use crate::Error;
use crate::tree::Tree;
use banger_archive::{Entry, EntryKind};

/// Makes a layer's changes. Its lane has been joined.
pub(crate) fn add(tree: &mut Tree, layer: Changes) -> Result<(), Error> {
    let removes = |change: &Change| matches!(change, Change::Whiteout(_) | Change::Opaque(_));
    // Only whiteouts need to know what is the layer's own.
    let mut own = layer.list.iter().any(removes).then(Own::default);
    for change in layer.list {
        match change {
            Change::File {
                name,
                meta,
                stored,
                content,
            } => {
                let name = relative(&name);
                note(tree, own.as_mut(), name)?;
                tree.stored_file(name, meta, stored, content.as_deref())?;
            }
            Change::Entry(entry) => {
                note(tree, own.as_mut(), relative(&entry.name))?;
                put(tree, entry)?;
            }
            Change::Whiteout(path) => remove(tree, own.as_ref(), &path, true)?,
            Change::Opaque(path) => remove(tree, own.as_ref(), &path, false)?,
        }
    }
    // Whatever should have another name has it by now.
    tree.remove_below(AUFS_LINKED, true, &|_| false)
}

/// Some builders write names with a slash in front; in a layer it means the image's root.
fn relative(name: &[u8]) -> &[u8] {
    let slashes = name.iter().take_while(|&&byte| byte == b'/').count();
    &name[slashes..]
}

fn put(tree: &mut Tree, entry: Entry) -> Result<(), Error> {
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

/// The paths that a layer has, with all their parents.
#[derive(Default)]
struct Own(HashSet<Vec<u8>>);

fn note(tree: &mut Tree, own: Option<&mut Own>, name: &[u8]) -> Result<(), Error> {
    let Some(Own(paths)) = own else { return Ok(()) };
    let mut path = tree.locate(name)?;
    while !path.is_empty() {
        let parent = path.iter().rposition(|&byte| byte == b'/').unwrap_or_default();
        let above = path[..parent].to_vec();
        if !paths.insert(path) {
            break;
        }
        path = above;
    }
    Ok(())
}

fn remove(tree: &mut Tree, own: Option<&Own>, name: &[u8], itself: bool) -> Result<(), Error> {
    // The directory itself may be reached over symbolic links; what is removed is never followed.
    let name = relative(name);
    let path = if itself {
        tree.locate(name)?
    } else {
        // An empty name is the root's.
        let mut inside = tree.locate(&[b"./", name, b"/x"].concat())?;
        inside.truncate(inside.len().saturating_sub(2));
        inside
    };
    let keep = |path: &[u8]| own.is_some_and(|own| own.0.contains(path));
    tree.remove_below(&path, itself, &keep)
}
