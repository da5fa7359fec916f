//! Files of the ssh configuration: replaced atomically, with their mode, following symbolic links.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// Maximum number of links that are followed, as on Linux.
const MOST_LINKS: u32 = 40;

/// The content of a file; empty if the file does not exist.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read,
    }
}

/// Replaces the content of a file atomically.
pub(crate) fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let path = behind_links(path)?;
    let dir = path.parent().unwrap_or(Path::new("/"));
    if !dir.is_dir() {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    }
    // The mode is 0600 until it is changed.
    let mut file = NamedTempFile::new_in(dir)?;
    file.write_all(text)?;
    if let Ok(metadata) = fs::metadata(&path) {
        let mode = Permissions::from_mode(metadata.permissions().mode() & 0o7777);
        file.as_file().set_permissions(mode)?;
    }
    file.as_file().sync_all()?;
    file.persist(&path).map_err(|error| error.error)?;
    Ok(())
}

/// The file that a path resolves to, whether or not the file exists.
fn behind_links(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        match fs::read_link(&path) {
            Ok(target) => path = path.parent().unwrap_or(Path::new("/")).join(target),
            // Not a link, or no file at all.
            Err(_) => return Ok(path),
        }
    }
    Err(io::Error::from_raw_os_error(
        rustix::io::Errno::LOOP.raw_os_error(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_stays_and_so_does_the_mode() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("dotfiles");
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        let link = dir.path().join("config");
        std::os::unix::fs::symlink("dotfiles", &link).unwrap();
        replace(&link, b"new").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
    }

    #[test]
    fn a_new_file_is_its_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(".ssh/config");
        assert_eq!(read(&file).unwrap(), b"");
        replace(&file, b"new").unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let parent = fs::metadata(file.parent().unwrap()).unwrap();
        assert_eq!(parent.permissions().mode() & 0o777, 0o700);
    }
}
