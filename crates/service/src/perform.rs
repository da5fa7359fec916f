//! Does what a plan says.

use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use tempfile::NamedTempFile;

use super::plan::Action;

/// Something that could not be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or a directory.
    #[error("cannot {action}")]
    File {
        /// What was to be done.
        action: String,
        /// Why it was not.
        source: io::Error,
    },
    /// A program that is not there.
    #[error("cannot run `{line}`")]
    Start {
        /// The command line.
        line: String,
        /// Why.
        source: io::Error,
    },
    /// A program that failed.
    #[error("`{line}` failed ({status})")]
    Failed {
        /// The command line.
        line: String,
        /// How it ended.
        status: ExitStatus,
        /// What it wrote to standard error.
        words: String,
    },
}

/// Does one after the other, to the end or to the first that fails. Each is told before it is done.
pub fn perform(actions: &[Action], tell: impl Fn(&Action)) -> Result<(), Error> {
    actions.iter().try_for_each(|action| {
        tell(action);
        one(action)
    })
}

fn one(action: &Action) -> Result<(), Error> {
    let done = match action {
        Action::Directory(path) => directory(path),
        Action::Program { from, to } => fs::read(from).and_then(|bytes| whole(to, &bytes, 0o755)),
        Action::Text { to, text } => whole(to, text.as_bytes(), 0o644),
        Action::Link { at, to } => {
            gone(fs::remove_file(at)).and_then(|()| std::os::unix::fs::symlink(to, at))
        }
        Action::Remove(path) => gone(fs::remove_file(path)),
        Action::RemoveAll(path) => gone(fs::remove_dir_all(path)),
        Action::RemoveEmpty(path) => match fs::remove_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
            removed => gone(removed),
        },
        Action::Run(line) => return run(line),
    };
    done.map_err(|source| Error::File {
        action: action.to_string(),
        source,
    })
}

/// Makes directories that all may look into and their owner alone change, whatever the umask is.
fn directory(path: &Path) -> io::Result<()> {
    let missing: Vec<PathBuf> = path
        .ancestors()
        .take_while(|dir| !dir.exists())
        .map(Path::to_owned)
        .collect();
    missing.iter().rev().try_for_each(|dir| {
        fs::create_dir(dir)?;
        fs::set_permissions(dir, Permissions::from_mode(0o755))
    })
}

/// Puts a file in its place by rename, when it is whole and on the disk. A program that runs from there runs on.
fn whole(to: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let dir = to.parent().unwrap_or(Path::new("/"));
    let mut file = NamedTempFile::new_in(dir)?;
    file.write_all(bytes)?;
    file.as_file().set_permissions(Permissions::from_mode(mode))?;
    file.as_file().sync_all()?;
    file.persist(to)?;
    fs::File::open(dir)?.sync_all()
}

fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

fn run(line: &[String]) -> Result<(), Error> {
    let text = || line.join(" ");
    let Some((program, arguments)) = line.split_first() else {
        return Ok(());
    };
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output();
    let output = output.map_err(|source| Error::Start { line: text(), source })?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::Failed {
        line: text(),
        status: output.status,
        words: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::Place;
    use crate::plan::{Installed, Owner, Starter, install, uninstall};

    #[test]
    fn what_was_installed_can_be_removed_and_both_may_be_done_twice() {
        let dir = tempfile::tempdir().unwrap();
        let (place, from) = (
            Place::below(&dir.path().join("root")),
            dir.path().join("banger-root"),
        );
        fs::write(&from, "first").unwrap();
        let range = Some("10.66.0.0/16,fd12::/48".parse().unwrap());
        let owner = Owner { id: 1000, range };
        let installing = install(&place, &from, Some(owner), Starter::Later, None);
        perform(&installing, |_| {}).unwrap();
        // Whoever runs the old one keeps it.
        let mut running = fs::File::open(place.program()).unwrap();
        fs::write(&from, "second").unwrap();
        perform(&installing, |_| {}).unwrap();
        assert_eq!(io::read_to_string(&mut running).unwrap(), "first");
        assert_eq!(fs::read_to_string(place.program()).unwrap(), "second");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode(&place.program()), mode(&place.template())), (0o755, 0o644));
        let link = place.wants().join("banger-root@1000.service");
        assert_eq!(
            fs::canonicalize(&link).unwrap(),
            fs::canonicalize(place.template()).unwrap()
        );
        // An upgrade keeps what was decided.
        perform(
            &install(
                &place,
                &from,
                Some(Owner { range: None, ..owner }),
                Starter::Later,
                None,
            ),
            |_| {},
        )
        .unwrap();
        assert_eq!(place.range(1000).unwrap(), range);
        assert_eq!(mode(&place.settings(1000)), 0o644);
        let there = Installed {
            unit: false,
            shared: false,
            user: false,
        };
        for _ in 0..2 {
            perform(&uninstall(&place, 1000, there, None), |_| {}).unwrap();
        }
        assert!(!place.program().exists() && !place.template().exists());
        assert!(!place.at("/etc/banger-root").exists());
    }

    #[test]
    fn a_program_that_fails_is_told_with_its_words() {
        let line = ["sh", "-c", "echo because >&2; exit 3"]
            .map(str::to_owned)
            .to_vec();
        let error = perform(&[Action::Run(line)], |_| {}).unwrap_err();
        assert!(
            matches!(&error, Error::Failed { words, .. } if words == "because\n"),
            "{error}"
        );
        let absent = perform(&[Action::Run(vec!["no-such-program".to_owned()])], |_| {}).unwrap_err();
        assert!(matches!(absent, Error::Start { .. }), "{absent}");
    }
}
