//! What the tests give the writer.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use banger_ext4::{ImageWriter, Meta, Xattr};

use crate::host::{Mounted, meta};

pub(crate) fn file(writer: &mut ImageWriter, path: &str, content: &[u8]) {
    writer
        .file(
            path.as_bytes(),
            meta(0o644),
            content.len() as u64,
            &mut &content[..],
        )
        .unwrap();
}

pub(crate) fn below(mounted: &Mounted, name: &[u8]) -> std::path::PathBuf {
    mounted.path().join(OsStr::from_bytes(name))
}

pub(crate) fn with_xattrs(xattrs: &[(&str, &[u8])]) -> Meta {
    let xattrs = xattrs.iter().map(|(name, value)| Xattr {
        name: name.as_bytes().into(),
        value: value.to_vec(),
    });
    Meta {
        xattrs: xattrs.collect(),
        ..meta(0o755)
    }
}
