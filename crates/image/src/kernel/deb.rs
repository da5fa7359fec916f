//! Debian packages (deb(5)): an `ar` archive with `data.tar.*` in it. Only a kernel's own files are taken from it.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Component, Path, PathBuf};

use super::source::Found;
use crate::Error;
use crate::compression::{Checked, decompressed};
use crate::files::{self, OfFile};

const MAGIC: &[u8] = b"!<arch>\n";
/// An `ar` header: name of 16 bytes, four fields, size of 10 bytes in decimal, and two bytes of end mark.
const HEADER: usize = 60;

/// Unpacks what a kernel package has of a kernel into `scratch`.
pub(super) fn unpack(deb: &Path, scratch: &Path) -> Result<Found, Error> {
    let file = File::open(deb).of("open", deb)?;
    let mut data = BufReader::new(file);
    let size = seek_to_data(&mut data, deb)?;
    let into = scratch.join("package");
    files::make_dir(&into)?;
    std::thread::scope(|scope| {
        let tar = decompressed(scope, data.take(size), Checked::Here).of("read", deb)?;
        take(tar, &into).of("unpack", deb)
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
        .map_err(|_| fault("it is no Debian package"))?;
    if magic != MAGIC {
        return Err(fault("it is no Debian package"));
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
fn take(tar: impl Read, into: &Path) -> io::Result<()> {
    for entry in tar::Archive::new(tar).entries()? {
        let mut entry = entry?;
        let name = entry.path()?.into_owned();
        if !entry.header().entry_type().is_file() || !is_wanted(&name) {
            continue;
        }
        let to = into.join(plain(&name));
        if let Some(parent) = to.parent() {
            std::fs::create_dir_all(parent)?;
        }
        io::copy(&mut entry, &mut File::create_new(to)?)?;
    }
    Ok(())
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
    let kernel = boot.is_some_and(|file| file.starts_with("vmlinuz-") || file.starts_with("config-"));
    kernel || name.starts_with("lib/modules")
}

fn found(deb: &Path, dir: &Path) -> Result<Found, Error> {
    let boot = dir.join("boot");
    let named = |prefix: &str| {
        let entries = std::fs::read_dir(&boot).into_iter().flatten().flatten();
        let mut paths = entries.map(|entry| entry.path());
        paths.find(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with(prefix))
        })
    };
    let modules = std::fs::read_dir(dir.join("lib/modules"))
        .into_iter()
        .flatten()
        .flatten()
        .next();
    Ok(Found {
        kernel: named("vmlinuz-").ok_or_else(|| Error::Package {
            path: deb.to_owned(),
            fault: "it has no boot/vmlinuz",
        })?,
        initrd: None,
        modules: modules.map(|entry| entry.path()),
        config: named("config-"),
        words: format!("package file {}", deb.display()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
