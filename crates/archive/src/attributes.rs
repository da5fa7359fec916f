//! Extended attributes of files. A file system without them has none to lose.

use std::fs::File;
use std::io;

use banger_inode::Xattr;
use rustix::buffer::spare_capacity;
use rustix::fs::{XattrFlags, fgetxattr, flistxattr, fsetxattr};
use rustix::io::Errno;

/// Those of an open file or directory; only users' own unless `all`.
pub(crate) fn of_file(file: &File, all: bool) -> Vec<Xattr> {
    collect(
        all,
        |buffer| flistxattr(file, spare_capacity(buffer)),
        |name, buffer| fgetxattr(file, name, spare_capacity(buffer)),
    )
}

/// Sets one. Tells whether the file system, and who we are, allow it.
pub(crate) fn set(file: &File, xattr: &Xattr) -> io::Result<bool> {
    match fsetxattr(file, xattr.name.as_slice(), &xattr.value, XattrFlags::empty()) {
        Ok(()) => Ok(true),
        Err(Errno::NOTSUP | Errno::PERM | Errno::ACCESS) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Whether an attribute goes with a copy. Labels of SELinux belong to their own host's policy.
pub(crate) fn goes(name: &[u8], all: bool) -> bool {
    name.starts_with(b"user.") || (all && name != b"security.selinux")
}

fn collect(
    all: bool,
    list: impl Fn(&mut Vec<u8>) -> rustix::io::Result<usize>,
    get: impl Fn(&[u8], &mut Vec<u8>) -> rustix::io::Result<usize>,
) -> Vec<Xattr> {
    // Linux has at most 64 KiB of names, and of a value.
    let mut names = Vec::with_capacity(1 << 10);
    let mut listed = list(&mut names);
    if listed == Err(Errno::RANGE) {
        names = Vec::with_capacity(1 << 16);
        listed = list(&mut names);
    }
    if listed.is_err() {
        return Vec::new();
    }
    let mut xattrs = Vec::new();
    for name in names
        .split(|&byte| byte == 0)
        .filter(|name| !name.is_empty() && goes(name, all))
    {
        let mut value = Vec::with_capacity(1 << 16);
        // It may be gone by now.
        if get(name, &mut value).is_ok() {
            let name = name.to_vec();
            xattrs.push(Xattr { name, value });
        }
    }
    xattrs
}
