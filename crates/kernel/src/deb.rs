//! Debian packages (deb(5)): an `ar` archive with `data.tar.*` in it. Only a kernel's own files are taken from it.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use banger_archive::EntryKind;
use banger_bounded::{Budget, Checked, Exceeded, decompressed};
use banger_store::{OfFile, files};

use crate::error::Error;
use crate::found::Found;

/// What a kernel's package unpacks to at most, and how many files are taken.
const LARGEST: u64 = 8 << 30;
const MOST_FILES: usize = 200_000;

const MAGIC: &[u8] = b"!<arch>\n";
/// An `ar` header: name of 16 bytes, four fields, size of 10 bytes in decimal, and two bytes of end mark.
const HEADER: usize = 60;

/// Unpacks what a kernel package has of a kernel into `scratch`.
pub(crate) fn unpack(deb: &Path, scratch: &Path) -> Result<Found, Error> {
    let file = File::open(deb).of("open", deb)?;
    let mut data = BufReader::new(file);
    let size = seek_to_data(&mut data, deb)?;
    let into = scratch.join("package");
    files::make_dir(&into)?;
    std::thread::scope(|scope| {
        let tar = decompressed(scope, data.take(size), Checked::Here, Budget::default()).of("read", deb)?;
        take(tar, &into)
    })?;
    found(deb, &into)
}

/// Leaves the reader at the data's beginning, and gives its length.
fn seek_to_data(deb: &mut BufReader<File>, path: &Path) -> Result<u64, Error> {
    let fault = |fault| Error::Package {
        path: path.to_owned(),
        fault,
    };
    let mut magic = [0; 8];
    deb.read_exact(&mut magic)
        .map_err(|_| fault("it is not a Debian package"))?;
    if magic != MAGIC {
        return Err(fault("it is not a Debian package"));
    }
    loop {
        let mut header = [0; HEADER];
        deb.read_exact(&mut header)
            .map_err(|_| fault("it has no data.tar"))?;
        let size = std::str::from_utf8(&header[48..58])
            .ok()
            .and_then(|size| size.trim().parse::<u64>().ok());
        let size = size.ok_or_else(|| fault("a member has no size"))?;
        if header.starts_with(b"data.tar") {
            return Ok(size);
        }
        // Members begin at even offsets.
        let skip = i64::try_from(size + size % 2).map_err(|_| fault("a member is too large"))?;
        deb.seek_relative(skip).of("read", path)?;
    }
}

/// Writes the kernel, its configuration and its modules below `into`. Every name is checked; links are not taken.
fn take(tar: impl Read, into: &Path) -> Result<(), Error> {
    let (mut entries, mut left) = (0, LARGEST);
    banger_archive::read_unmarked(tar, &mut |entry, content| {
        entries += 1;
        if entries > MOST_FILES {
            let (what, most, parts) = ("package", MOST_FILES, "files");
            return Err(Exceeded::Document { what, most, parts }.into());
        }
        let name = Path::new(OsStr::from_bytes(&entry.name));
        let EntryKind::File { size, .. } = entry.kind else {
            return Ok(());
        };
        if !is_wanted(name) {
            return Ok(());
        }
        left = left.checked_sub(size).ok_or(Exceeded::Part {
            what: "package",
            most: LARGEST,
        })?;
        let to = into.join(plain(name));
        if let Some(parent) = to.parent() {
            std::fs::create_dir_all(parent).of("create the directory", parent)?;
        }
        let mut file = File::create_new(&to).of("create", &to)?;
        Ok(io::copy(content, &mut file).map(drop).of("unpack", &to)?)
    })
    .map(drop)
}

/// A name below the package's root, with `usr/` taken away: newer packages have `usr/lib/modules`.
fn plain(name: &Path) -> PathBuf {
    let parts = name
        .components()
        .filter(|part| matches!(part, Component::Normal(_)));
    let path: PathBuf = parts.collect();
    path.strip_prefix("usr").map(Path::to_owned).unwrap_or(path)
}

fn is_wanted(name: &Path) -> bool {
    if name.components().any(|part| part == Component::ParentDir) {
        return false;
    }
    let name = plain(name);
    let boot = name.strip_prefix("boot").ok().and_then(Path::to_str);
    let kernel = boot.is_some_and(|file| {
        ["vmlinuz-", "vmlinux-", "config-"]
            .iter()
            .any(|prefix| file.starts_with(prefix))
    });
    kernel || name.starts_with("lib/modules")
}

fn found(deb: &Path, dir: &Path) -> Result<Found, Error> {
    let paths = |dir: &Path| {
        let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        paths.sort();
        paths
    };
    let named = |prefix: &str| {
        paths(&dir.join("boot")).into_iter().find(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with(prefix))
        })
    };
    let modules = paths(&dir.join("lib/modules"));
    // Distributions without files in /boot have the kernel, and its configuration, among its modules.
    let among = |name: &str| {
        modules
            .iter()
            .map(|modules| modules.join(name))
            .find(|path| path.is_file())
    };
    let kernel = named("vmlinuz-")
        .or_else(|| among("vmlinuz"))
        .or_else(|| named("vmlinux-"));
    let kernel = kernel.ok_or_else(|| Error::Package {
        path: deb.to_owned(),
        fault: "it has neither boot/vmlinuz-VERSION nor lib/modules/VERSION/vmlinuz",
    })?;
    let own = modules.iter().find(|modules| kernel.starts_with(modules));
    Ok(Found {
        initrd: None,
        modules: own.or(modules.first()).cloned(),
        config: named("config-").or_else(|| among("config")),
        words: format!("package file {}", deb.display()),
        kernel,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_is_found_where_distributions_have_it() {
        let cases: [(&[&str], &str, Option<&str>); 4] = [
            (
                &["boot/vmlinuz-6.1", "boot/config-6.1", "lib/modules/6.1/a.ko"],
                "boot/vmlinuz-6.1",
                Some("boot/config-6.1"),
            ),
            (
                &["lib/modules/6.1/vmlinuz", "lib/modules/6.1/config"],
                "lib/modules/6.1/vmlinuz",
                Some("lib/modules/6.1/config"),
            ),
            (
                &["lib/modules/6.1/build", "lib/modules/6.2/vmlinuz"],
                "lib/modules/6.2/vmlinuz",
                None,
            ),
            (&["boot/vmlinux-6.1"], "boot/vmlinux-6.1", None),
        ];
        for (files, kernel, config) in cases {
            let dir = tempfile::tempdir().unwrap();
            for file in files {
                let path = dir.path().join(file);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, "x").unwrap();
            }
            let found = found(Path::new("x.deb"), dir.path()).unwrap();
            assert_eq!(found.kernel, dir.path().join(kernel));
            assert_eq!(found.config, config.map(|config| dir.path().join(config)));
            if kernel.starts_with("lib") {
                assert!(found.kernel.starts_with(found.modules.unwrap()), "{kernel}");
            }
        }
        assert!(found(Path::new("x.deb"), tempfile::tempdir().unwrap().path()).is_err());
    }

    #[test]
    fn only_a_kernels_own_files_are_wanted() {
        for name in [
            "./boot/vmlinuz-6.1",
            "boot/config-6.1",
            "./usr/lib/modules/6.1/kernel/a.ko",
            "lib/modules/6.1/x",
        ] {
            assert!(is_wanted(Path::new(name)), "{name}");
        }
        for name in [
            "./boot/System.map-6.1",
            "usr/share/doc/x",
            "lib/modules/../../etc/passwd",
            "boot/../x",
        ] {
            assert!(!is_wanted(Path::new(name)), "{name}");
        }
    }
}
