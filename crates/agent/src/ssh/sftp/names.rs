//! What is done to files by their names.

use std::ffi::{OsStr, OsString};
use std::fs::Metadata;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use banger_ssh::wire::Reader;
use rustix::fs::{CWD, RenameFlags, StatVfs};

use super::attributes::Attributes;
use super::failed::Failed;
use super::message::Answer;

/// Where names are.
#[derive(Debug)]
pub(super) struct Names {
    home: PathBuf,
}

impl Names {
    pub(super) fn new(home: &Path) -> Self {
        Self {
            home: home.to_owned(),
        }
    }

    /// The path of a client's name.
    pub(super) fn path(&self, name: &[u8]) -> PathBuf {
        self.home.join(OsStr::from_bytes(name))
    }

    fn next(&self, from: &mut Reader<'_>) -> Result<PathBuf, Failed> {
        Ok(self.path(from.string()?))
    }

    pub(super) fn stat(&self, from: &mut Reader<'_>) -> Result<Answer, Failed> {
        let metadata = std::fs::metadata(self.next(from)?)?;
        Ok(Answer::Attributes((&metadata).into()))
    }

    pub(super) fn lstat(&self, from: &mut Reader<'_>) -> Result<Answer, Failed> {
        let metadata = std::fs::symlink_metadata(self.next(from)?)?;
        Ok(Answer::Attributes((&metadata).into()))
    }

    pub(super) fn setstat(&self, from: &mut Reader<'_>, follow: bool) -> Result<Answer, Failed> {
        let path = self.next(from)?;
        Attributes::read(from)?.apply_at(&path, follow)?;
        Ok(Answer::Done)
    }

    pub(super) fn remove(&self, from: &mut Reader<'_>) -> Result<Answer, Failed> {
        std::fs::remove_file(self.next(from)?)?;
        Ok(Answer::Done)
    }

    pub(super) fn mkdir(&self, from: &mut Reader<'_>) -> Result<Answer, Failed> {
        let path = self.next(from)?;
        let permissions = Attributes::read(from)?.permissions(0o777);
        rustix::fs::mkdir(path, permissions)?;
        Ok(Answer::Done)
    }

    pub(super) fn rmdir(&self, from: &mut Reader<'_>) -> Result<Answer, Failed> {
        std::fs::remove_dir(self.next(from)?)?;
        Ok(Answer::Done)
    }

    /// The canonical path of a name, of which the last part need not be there.
    pub(super) fn realpath(&self, from: &mut Reader<'_>) -> Result<Answer, Failed> {
        canonical(&self.next(from)?)
    }

    /// The same of a name that may begin with `~`.
    pub(super) fn expand(&self, from: &mut Reader<'_>) -> Result<Answer, Failed> {
        let name = from.string()?;
        let path = match name.strip_prefix(b"~") {
            Some(rest) if rest.is_empty() || rest.starts_with(b"/") => {
                let rest = rest
                    .iter()
                    .position(|&byte| byte != b'/')
                    .map_or(&b""[..], |at| &rest[at..]);
                self.path(rest)
            }
            // Other users' homes are theirs.
            Some(_) => return Err(Failed::Unsupported),
            None => self.path(name),
        };
        canonical(&path)
    }

    /// Renames to what is not there yet.
    pub(super) fn rename(&self, from: &mut Reader<'_>) -> Result<Answer, Failed> {
        let (old, new) = (self.next(from)?, self.next(from)?);
        rustix::fs::renameat_with(CWD, old, CWD, new, RenameFlags::NOREPLACE)?;
        Ok(Answer::Done)
    }

    pub(super) fn posix_rename(&self, from: &mut Reader<'_>) -> Result<Answer, Failed> {
        let (old, new) = (self.next(from)?, self.next(from)?);
        std::fs::rename(old, new)?;
        Ok(Answer::Done)
    }

    pub(super) fn hardlink(&self, from: &mut Reader<'_>) -> Result<Answer, Failed> {
        let (old, new) = (self.next(from)?, self.next(from)?);
        std::fs::hard_link(old, new)?;
        Ok(Answer::Done)
    }

    pub(super) fn readlink(&self, from: &mut Reader<'_>) -> Result<Answer, Failed> {
        Ok(one(std::fs::read_link(self.next(from)?)?))
    }

    /// Makes a link. The draft has the link first; OpenSSH, and so everybody, has what it leads to first (OpenSSH's
    /// PROTOCOL, section 4.1).
    pub(super) fn symlink(&self, from: &mut Reader<'_>) -> Result<Answer, Failed> {
        let target = OsStr::from_bytes(from.string()?);
        std::os::unix::fs::symlink(target, self.next(from)?)?;
        Ok(Answer::Done)
    }

    pub(super) fn statvfs(&self, from: &mut Reader<'_>) -> Result<Answer, Failed> {
        Ok(space(&rustix::fs::statvfs(self.next(from)?)?))
    }
}

fn canonical(path: &Path) -> Result<Answer, Failed> {
    let error = match std::fs::canonicalize(path) {
        Ok(path) => return Ok(one(path)),
        Err(error) => error,
    };
    let (Some(dir), Some(last)) = (path.parent(), path.file_name()) else {
        return Err(error.into());
    };
    Ok(one(std::fs::canonicalize(dir)?.join(last)))
}

fn one(path: PathBuf) -> Answer {
    let name = OsString::from(path).into_vec();
    let long = String::from_utf8_lossy(&name).into_owned();
    Answer::Names(vec![(name, long, Attributes::default())])
}

/// The numbers of `statvfs@openssh.com` (OpenSSH's PROTOCOL, section 4.4).
pub(super) fn space(found: &StatVfs) -> Answer {
    const READ_ONLY: u64 = 1;
    const NO_SETUID: u64 = 2;
    let is = |flag, number| if found.f_flag.contains(flag) { number } else { 0 };
    use rustix::fs::StatVfsMountFlags as Flags;
    Answer::Numbers(vec![
        found.f_bsize,
        found.f_frsize,
        found.f_blocks,
        found.f_bfree,
        found.f_bavail,
        found.f_files,
        found.f_ffree,
        found.f_favail,
        found.f_fsid,
        is(Flags::RDONLY, READ_ONLY) | is(Flags::NOSUID, NO_SETUID),
        found.f_namemax,
    ])
}

/// What `ls -l` would say of a file, with numbers for its owner.
pub(super) fn long(name: &[u8], metadata: &Metadata) -> String {
    let mode = metadata.mode();
    let kind = match mode & 0o170_000 {
        0o040_000 => 'd',
        0o120_000 => 'l',
        0o140_000 => 's',
        0o060_000 => 'b',
        0o020_000 => 'c',
        0o010_000 => 'p',
        _ => '-',
    };
    let mut permissions = String::from(kind);
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = mode >> shift;
        permissions.push(if bits & 4 != 0 { 'r' } else { '-' });
        permissions.push(if bits & 2 != 0 { 'w' } else { '-' });
        permissions.push(match (mode & special != 0, bits & 1 != 0) {
            (true, true) => letter,
            (true, false) => letter.to_ascii_uppercase(),
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    let (year, month, day) = date(metadata.mtime());
    format!(
        "{permissions} {:4} {:<8} {:<8} {:>12} {year:04}-{month:02}-{day:02} {}",
        metadata.nlink(),
        metadata.uid(),
        metadata.gid(),
        metadata.size(),
        String::from_utf8_lossy(name)
    )
}

/// Year, month and day of a time in UTC, by counting days in eras of 400 years that begin in March.
fn date(seconds: i64) -> (i64, i64, i64) {
    let days = seconds.div_euclid(86_400) + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::date;

    #[test]
    fn days_are_counted() {
        assert_eq!(date(0), (1970, 1, 1));
        assert_eq!(date(951_782_400), (2000, 2, 29));
        assert_eq!(date(1_735_689_599), (2024, 12, 31));
        assert_eq!(date(-1), (1969, 12, 31));
    }
}
