//! Paths as sequences of checked names.

use crate::{Error, PathFault};

/// The names of a path from the root down. `.` and repeated slashes are passed over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Components<'a> {
    raw: &'a [u8],
}

impl<'a> Components<'a> {
    /// Checks every name.
    pub(crate) fn new(raw: &'a [u8]) -> Result<Self, Error> {
        let path = Self { raw };
        let fault = path.names().find_map(|name| match name {
            b".." => Some(PathFault::Parent),
            _ if name.len() > 255 => Some(PathFault::LongName),
            _ if name.contains(&0) => Some(PathFault::Nul),
            _ => None,
        });
        match fault {
            Some(fault) => Err(Error::InvalidPath {
                path: raw.to_vec(),
                fault,
            }),
            None => Ok(path),
        }
    }

    /// As the caller gave it.
    pub(crate) fn raw(&self) -> &'a [u8] {
        self.raw
    }

    pub(crate) fn names(&self) -> impl DoubleEndedIterator<Item = &'a [u8]> + use<'a> {
        self.raw
            .split(|&byte| byte == b'/')
            .filter(|name| !name.is_empty() && *name != b".")
    }

    /// All names but the last.
    pub(crate) fn parents(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut names = self.names();
        names.next_back();
        names
    }

    /// The last name; `None` for the root.
    pub(crate) fn last(&self) -> Option<&'a [u8]> {
        self.names().next_back()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(raw: &[u8]) -> Vec<&[u8]> {
        Components::new(raw).unwrap().names().collect()
    }

    #[test]
    fn dots_and_slashes_are_passed_over() {
        assert_eq!(split(b""), [b""; 0]);
        assert_eq!(split(b"/./"), [b""; 0]);
        assert_eq!(split(b"./a//b/./c/"), [b"a", b"b", b"c"]);
        let path = Components::new(b"/a/b/c").unwrap();
        assert_eq!(path.parents().collect::<Vec<_>>(), [b"a", b"b"]);
        assert_eq!(path.last(), Some(&b"c"[..]));
    }

    #[test]
    fn bad_names_are_refused() {
        let fault = |raw: &[u8]| match Components::new(raw) {
            Err(Error::InvalidPath { fault, .. }) => Some(fault),
            _ => None,
        };
        assert_eq!(fault(b"a/../b"), Some(PathFault::Parent));
        assert_eq!(fault(b"a/..."), None);
        assert_eq!(fault(&[b'x'; 255]), None);
        assert_eq!(fault(&[b'x'; 256]), Some(PathFault::LongName));
        assert_eq!(fault(b"a\0b"), Some(PathFault::Nul));
    }
}
