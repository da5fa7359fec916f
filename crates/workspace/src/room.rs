//! What a checkout writes is known before anything of it is written: a tree may name one object a million times.

use std::collections::{BTreeMap, BTreeSet};

use banger_git::Git;
use banger_hostfs::{Dir, Reserve};

use crate::error::Error;
use crate::remote::MOST;

/// Sizes of objects by name, of those that are here.
pub(crate) fn sizes<'a>(
    git: &Git,
    objects: impl Iterator<Item = &'a String>,
) -> Result<BTreeMap<String, u64>, Error> {
    let names: BTreeSet<&String> = objects.collect();
    let names: String = names.into_iter().map(|name| format!("{name}\n")).collect();
    let args = ["cat-file", "--batch-check=%(objectname) %(objectsize)"];
    let listed = git.feed("look at the sizes of objects", args, names.as_bytes())?;
    let listed = String::from_utf8_lossy(&listed).into_owned();
    let pairs = listed.lines().filter_map(|line| line.split_once(' '));
    Ok(pairs
        .filter_map(|(name, size)| Some((name.to_owned(), size.parse().ok()?)))
        .collect())
}

/// Makes sure that files of these sizes may be written to each of `places`, and fit there.
pub(crate) fn check(sizes: impl Iterator<Item = u64>, places: &[&Dir]) -> Result<(), Error> {
    let (mut files, mut bytes) = (0, 0_u64);
    for size in sizes {
        files += 1;
        bytes = bytes.saturating_add(size);
    }
    if bytes > MOST {
        return Err(Error::TooLarge {
            files,
            bytes,
            most: MOST,
        });
    }
    let device = |dir: &Dir| rustix::fs::fstat(dir).map(|it| it.st_dev).ok();
    for place in places {
        // Of the same file system, each place takes its part.
        let parts = places
            .iter()
            .filter(|other| device(other) == device(place))
            .count();
        let coming = bytes.saturating_mul(parts as u64);
        Reserve::of(place)
            .file(place, place.path(), coming)
            .map_err(Error::hosted)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_or_does_not_fit_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Dir::open(dir.path()).unwrap();
        check([1, 2].into_iter(), &[&dir, &dir]).unwrap();
        let refused = check([MOST, 1].into_iter(), &[&dir]).unwrap_err();
        assert!(matches!(refused, Error::TooLarge { files: 2, bytes, .. } if bytes == MOST + 1));
        let now = rustix::fs::fstatvfs(&dir).unwrap();
        let left = now.f_bavail * now.f_frsize;
        // Half of what is left fits once and not twice.
        let half = left / 2;
        if half < MOST {
            let refused = check([half].into_iter(), &[&dir, &dir]).unwrap_err();
            assert!(refused.to_string().contains("must stay free"), "{refused}");
        }
    }
}
