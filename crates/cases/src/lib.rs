//! The record of attack cases that tests saw refused, for the figure `security.cases`. Only tests use this crate.
//!
//! A test of hostile input calls [`refused`] after the assertion that the attack did nothing. Each name is one attack:
//! one input, against one boundary. `make test` begins the record again and counts the distinct names at its end, so a
//! test that did not run, or failed, counts nothing.

use std::fs::{OpenOptions, create_dir_all};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Records that the attack `name` against `boundary` was tried and refused.
///
/// `boundary` is one of the boundaries of `docs/security.md`: `git`, `host-files`, `trust`, `guest-users`, `root-helper`,
/// `budget`, `terminal`, `egress`, `registry`, `state`, `vmm`. `name` is lower case words with hyphens; dots separate a
/// case's parts.
///
/// # Panics
///
/// When the record cannot be written: a case that is not counted must not look like one that is.
pub fn refused(boundary: &str, name: &str) {
    let plain = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
    };
    assert!(
        plain(boundary) && plain(name),
        "invalid case name {boundary}/{name}"
    );
    let directory = directory();
    create_dir_all(&directory)
        .unwrap_or_else(|error| panic!("failed to create {}: {error}", directory.display()));
    // A file for each process: tests run side by side, and one write of a short line to a file of one's own is whole.
    let path = directory.join(std::process::id().to_string());
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .unwrap_or_else(|error| panic!("failed to open {}: {error}", path.display()));
    file.write_all(format!("{boundary}/{name}\n").as_bytes())
        .unwrap_or_else(|error| panic!("failed to write {}: {error}", path.display()));
}

/// Where the record is: `security-cases` below the build directory.
#[must_use]
pub fn directory() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    target
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"))
        .join("security-cases")
}
