//! Changing and checking `config.toml`. What stands in it stays as it is, comments included; what would make it invalid is not
//! written.

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use banger_api::Paths;
use toml_edit::{DocumentMut, Item, Key, Table, TableLike, Value};

use crate::config::{Config, Error};

/// The text of the file; none if there is none.
pub(crate) fn read(path: &Path) -> Result<String, Error> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
        Err(source) => Err(Error::Read {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Checks the file, and returns where it is.
///
/// # Errors
/// [`Error::Invalid`] with the line of what is wrong.
pub fn check(paths: &Paths) -> Result<PathBuf, Error> {
    let path = paths.config_file();
    valid(&path, &read(&path)?)?;
    Ok(path)
}

/// Sets a key to a value in TOML; what is no TOML is a text. Returns where the file is.
///
/// # Errors
/// When the key or the value is not valid. The file stays as it was.
pub fn set(paths: &Paths, key: &str, value: &str) -> Result<PathBuf, Error> {
    let path = paths.config_file();
    let text = read(&path)?;
    let keys = parsed(key)?;
    let as_text = Value::from(value);
    let as_toml = value.parse::<Value>().ok().filter(|value| !value.is_datetime());
    let candidates = as_toml.into_iter().chain([as_text]);
    let mut refused = None;
    for value in candidates {
        let edited = with(&path, &text, &keys, Some(value))?;
        match Config::parse(&path, &edited) {
            Ok(_) => return write(&path, &edited).map(|()| path),
            // The first is what was meant.
            Err(Error::Parse { source, .. }) if refused.is_none() => refused = Some(source),
            Err(_) => {}
        }
    }
    // What was wrong before is named with its line.
    valid(&path, &text)?;
    Err(match refused {
        Some(source) => Error::Value {
            key: key.to_owned(),
            value: value.to_owned(),
            source,
        },
        None => Error::Key(key.to_owned()),
    })
}

/// Removes a key, so that its default holds. Returns where the file is.
///
/// # Errors
/// When the file is not valid without it.
pub fn unset(paths: &Paths, key: &str) -> Result<PathBuf, Error> {
    let path = paths.config_file();
    let text = read(&path)?;
    let edited = with(&path, &text, &parsed(key)?, None)?;
    if edited != text {
        valid(&path, &edited)?;
        write(&path, &edited)?;
    }
    Ok(path)
}

fn parsed(key: &str) -> Result<Vec<Key>, Error> {
    let keys = Key::parse(key).ok().filter(|keys| !keys.is_empty());
    keys.ok_or_else(|| Error::Key(key.to_owned()))
}

fn valid(path: &Path, text: &str) -> Result<(), Error> {
    match Config::parse(path, text) {
        Err(Error::Parse { source, .. }) => Err(Error::Invalid {
            place: place(path, text, source.span().map(|span| span.start)),
            source,
        }),
        parsed => parsed.map(drop),
    }
}

/// `FILE:LINE`, or the file alone where the parser does not know the line.
fn place(path: &Path, text: &str, at: Option<usize>) -> String {
    match at.and_then(|at| text.get(..at)) {
        Some(before) => format!("{}:{}", path.display(), before.matches('\n').count() + 1),
        None => path.display().to_string(),
    }
}

/// The text with another value of a key, or without it.
fn with(path: &Path, text: &str, keys: &[Key], value: Option<Value>) -> Result<String, Error> {
    // What is no TOML at all is said as `check` says it.
    let Ok(mut document) = text.parse::<DocumentMut>() else {
        valid(path, text)?;
        return Err(Error::Key(String::new()));
    };
    let named = || Error::Key(keys.iter().map(Key::get).collect::<Vec<_>>().join("."));
    let Some((last, above)) = keys.split_last() else {
        return Err(named());
    };
    let mut table: &mut dyn TableLike = document.as_table_mut();
    for key in above {
        if value.is_none() && !table.contains_key(key.get()) {
            return Ok(text.to_owned());
        }
        let item = table.entry(key.get()).or_insert_with(|| {
            let mut table = Table::new();
            table.set_implicit(true);
            Item::Table(table)
        });
        table = item.as_table_like_mut().ok_or_else(named)?;
    }
    match (value, table.get_mut(last.get())) {
        (None, _) => drop(table.remove(last.get())),
        (Some(value), None) => drop(table.insert(last.get(), Item::Value(value))),
        (Some(mut value), Some(item)) => {
            // The comment behind it stays.
            if let Some(before) = item.as_value() {
                *value.decor_mut() = before.decor().clone();
            }
            *item = Item::Value(value);
        }
    }
    Ok(document.to_string())
}

/// Replaces the file at once. A link to it, as from a repository of dot files, stays.
fn write(path: &Path, text: &str) -> Result<(), Error> {
    let failed = |source| Error::Write {
        path: path.to_owned(),
        source,
    };
    let target = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let dir = target.parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(dir).map_err(failed)?;
    let mut fresh = tempfile::NamedTempFile::new_in(dir).map_err(failed)?;
    fresh.write_all(text.as_bytes()).map_err(failed)?;
    if let Ok(metadata) = std::fs::metadata(&target) {
        fresh
            .as_file()
            .set_permissions(metadata.permissions())
            .map_err(failed)?;
    }
    fresh.as_file().sync_all().map_err(failed)?;
    fresh.persist(&target).map_err(|error| failed(error.error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use banger_model::body;

    fn here(text: &str) -> (tempfile::TempDir, Paths) {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::below(dir.path());
        std::fs::create_dir_all(&paths.config).unwrap();
        std::fs::write(paths.config_file(), text).unwrap();
        (dir, paths)
    }

    fn now(paths: &Paths) -> String {
        std::fs::read_to_string(paths.config_file()).unwrap()
    }

    #[test]
    fn what_stands_in_the_file_stays() {
        let (_dir, paths) = here("# mine\nvmm = \"qemu\"  # slow\n\n[vm_defaults]\n# few\nvcpus = 2\n");
        set(&paths, "vmm", "firecracker").unwrap();
        set(&paths, "vm_defaults.memory", "4G").unwrap();
        set(&paths, "vm_defaults.vcpus", "3").unwrap();
        set(&paths, "registry.\"localhost:5000\".insecure", "true").unwrap();
        set(&paths, "subnet", "10.66.0.0/24").unwrap();
        unset(&paths, "fetch.attempts").unwrap();
        insta::assert_snapshot!(now(&paths), @r#"
        # mine
        vmm = "firecracker"  # slow
        subnet = "10.66.0.0/24"

        [vm_defaults]
        # few
        vcpus = 3
        memory = "4G"

        [registry."localhost:5000"]
        insecure = true
        "#);
        unset(&paths, "subnet").unwrap();
        assert!(!now(&paths).contains("subnet"));
    }

    #[test]
    fn what_is_not_valid_is_not_written() {
        let before = "vmm = \"qemu\"\n";
        let (_dir, paths) = here(before);
        for (key, value) in [
            ("vmm", "vbox"),
            ("tap_pool_size", "many"),
            ("vm_defaults.memry", "4G"),
            ("vmm.auto", "1"),
            ("no_such_key", "1"),
            ("", "1"),
        ] {
            let error = set(&paths, key, value).unwrap_err();
            assert!(!body(&error).message.is_empty(), "{key}");
            assert_eq!(now(&paths), before, "{key}");
        }
        let error = set(&paths, "vm_defaults.memry", "4G").unwrap_err();
        assert_eq!(body(&error).hints, ["did you mean `memory`?"]);
    }

    #[test]
    fn a_mistake_is_named_with_its_line() {
        let (_dir, paths) = here("vmm = \"qemu\"\n\ndefault_nte = \"nat\"\n");
        let error = body(&check(&paths).unwrap_err());
        assert!(error.message.ends_with("config.toml:3"), "{error:?}");
        assert_eq!(error.hints, ["did you mean `default_net`?"]);
        // It is not made worse.
        let error = body(&set(&paths, "vmm", "auto").unwrap_err());
        assert!(error.message.ends_with("config.toml:3"), "{error:?}");
        unset(&paths, "default_nte").unwrap();
        check(&paths).unwrap();
    }

    #[test]
    fn a_link_to_the_file_stays() {
        let (dir, paths) = here("");
        let real = dir.path().join("dotfile");
        std::fs::rename(paths.config_file(), &real).unwrap();
        std::os::unix::fs::symlink(&real, paths.config_file()).unwrap();
        set(&paths, "vmm", "qemu").unwrap();
        assert!(paths.config_file().is_symlink());
        assert_eq!(std::fs::read_to_string(&real).unwrap(), "vmm = \"qemu\"\n");
    }
}
