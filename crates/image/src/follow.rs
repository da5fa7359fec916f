//! Paths in the image that is being written, with links on the way followed inside it.

use banger_ext4::{ImageWriter, Kind, Way};

use crate::error::EntryFault;

/// How many symbolic links are followed on the way to one entry, as Linux does (path_resolution(7)).
const MAX_LINKS: u32 = 40;

/// The parts of a path that say something.
pub(crate) fn parts(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|&byte| byte == b'/')
        .filter(|part| !part.is_empty() && *part != b".")
}

/// The directory that `path` leads to. A directory that does not exist yet is where its name says.
pub(crate) fn follow(writer: &ImageWriter, path: &[&[u8]]) -> Result<Vec<u8>, EntryFault> {
    let mut ahead: Vec<Vec<u8>> = path.iter().rev().map(|part| part.to_vec()).collect();
    let mut at: Vec<Vec<u8>> = Vec::new();
    let mut way = Way::new(writer);
    let mut links = 0;
    while let Some(part) = ahead.pop() {
        if part == b".." {
            // Above the image's root there is the root.
            at.pop();
            way.leave();
            continue;
        }
        let kind = way.enter(&part);
        at.push(part);
        if kind != Some(Kind::Symlink) {
            continue;
        }
        links += 1;
        let target = way
            .link_target()
            .filter(|_| links <= MAX_LINKS)
            .ok_or(EntryFault::Lost)?;
        at.pop();
        way.leave();
        if target.first() == Some(&b'/') {
            at.clear();
            way.restart();
        }
        ahead.extend(parts(target).rev().map(<[u8]>::to_vec));
    }
    Ok(at.join(&b'/'))
}
