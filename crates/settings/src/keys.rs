//! The keys of `config.toml` with their values: the value that applies, and where it was set.

use std::path::Path;

use banger_api::{ConfigEntry, ConfigSource, Paths};
use serde_json::{Value, json};

use crate::config::{Config, Error};
use crate::reference::{self, Default, Form, Section};

/// Every key with its value and its source; `environment` has the variables.
///
/// # Errors
/// When the file is not valid.
pub fn show(paths: &Paths, environment: impl Fn(&str) -> Option<String>) -> Result<Vec<ConfigEntry>, Error> {
    let path = paths.config_file();
    let text = crate::editing::read(&path)?;
    let config = Config::parse(&path, &text)?;
    let file = table(&path, &text)?;
    let entry = |key: Shown| {
        let variable = key.variable.as_deref().and_then(&environment);
        let (value, source) = if let Some(value) = variable {
            (Value::String(value), ConfigSource::Environment)
        } else if let Some(value) = in_file(&file, &key.name) {
            (value, ConfigSource::File)
        } else {
            let default = key.default.unwrap_or_else(|| of_host(&key.name, &config));
            (default, ConfigSource::Default)
        };
        ConfigEntry {
            key: key.name,
            value,
            source,
        }
    };
    Ok(keys().into_iter().map(entry).collect())
}

/// A key as it is shown: with the tables that it is in.
struct Shown {
    name: String,
    /// None for a default that depends on the host.
    default: Option<Value>,
    variable: Option<String>,
}

/// Every key. A table whose keys or number the user chooses is one value.
fn keys() -> Vec<Shown> {
    let shown = |section: Section| -> Vec<Shown> {
        let whole = |default| {
            vec![Shown {
                name: section.name.clone(),
                default: Some(default),
                variable: None,
            }]
        };
        match section.form {
            Form::Free | Form::ByHost => whole(json!({})),
            Form::List => whole(json!([])),
            Form::Table => {
                let keys = section.keys.into_iter();
                keys.map(|key| Shown {
                    name: match section.name.as_str() {
                        "" => key.name,
                        table => format!("{table}.{}", key.name),
                    },
                    default: match key.default {
                        Default::Value(value) => Some(value),
                        _ => None,
                    },
                    variable: key.variable,
                })
                .collect()
            }
        }
    };
    reference::sections().into_iter().flat_map(shown).collect()
}

/// The value of a key in the file.
fn in_file(file: &toml::Table, key: &str) -> Option<Value> {
    let mut parts = key.split('.');
    let mut value = file.get(parts.next()?)?;
    for part in parts {
        value = value.get(part)?;
    }
    serde_json::to_value(value).ok()
}

/// The default of a key that depends on the host; null for one that has none.
fn of_host(key: &str, config: &Config) -> Value {
    let sizes = config.sizes(banger_hostsys::host_size());
    let ceilings = config.ceilings();
    match key {
        "vm_defaults.vcpus" => sizes.vcpus.into(),
        "vm_defaults.memory" => sizes.memory.as_bytes().into(),
        "vm_defaults.disk_size" => sizes.disk_size.as_bytes().into(),
        "repository.max_vcpus" => ceilings.vcpus.into(),
        "repository.max_memory" => ceilings.memory.as_bytes().into(),
        "repository.max_disk_size" => ceilings.disk_size.as_bytes().into(),
        _ => Value::Null,
    }
}

fn table(path: &Path, text: &str) -> Result<toml::Table, Error> {
    text.parse().map_err(|source| Error::Parse {
        path: path.to_owned(),
        source: Box::new(source),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here(text: &str) -> (tempfile::TempDir, Paths) {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::below(dir.path());
        std::fs::create_dir_all(&paths.config).unwrap();
        std::fs::write(paths.config_file(), text).unwrap();
        (dir, paths)
    }

    /// The documented defaults are those of the parser: a file that has them all changes nothing, but that the limits of
    /// downloads are set.
    #[test]
    fn the_defaults_are_right() {
        let defaults = keys()
            .into_iter()
            .filter_map(|key| Some((key.name, key.default?)));
        let mut file = toml::Table::new();
        for (name, value) in defaults {
            let mut names = name.split('.').rev();
            let value = toml::Value::try_from(value).unwrap();
            let entry = [(names.next().unwrap().to_owned(), value)];
            match names.next() {
                None => file.extend(entry),
                Some(table) => {
                    let table = file.entry(table).or_insert_with(|| toml::Table::new().into());
                    table.as_table_mut().unwrap().extend(entry);
                }
            }
        }
        assert!(file.len() > 12, "{file}");
        let parsed: Config = toml::from_str(&file.to_string()).unwrap();
        assert_eq!(parsed.fetch.limits(), Config::default().fetch.limits());
        let rest = Config {
            fetch: Config::default().fetch,
            ..parsed
        };
        assert_eq!(rest, Config::default());
    }

    #[test]
    fn each_key_has_a_source() {
        let (_dir, paths) = here("vmm = \"qemu\"\nqemu_bin = \"/a\"\n[vm_defaults]\nvcpus = 3\n");
        let environment = |name: &str| (name == "BANGER_QEMU").then(|| "/b".to_owned());
        let shown = show(&paths, environment).unwrap();
        let of = |key: &str| {
            let entry = shown.iter().find(|entry| entry.key == key).unwrap();
            (entry.value.clone(), entry.source)
        };
        assert_eq!(of("vmm"), ("qemu".into(), ConfigSource::File));
        assert_eq!(of("vm_defaults.vcpus"), (3.into(), ConfigSource::File));
        assert_eq!(of("qemu_bin"), ("/b".into(), ConfigSource::Environment));
        assert_eq!(of("tap_pool_size"), (4.into(), ConfigSource::Default));
        assert_eq!(of("subnet"), (Value::Null, ConfigSource::Default));
        assert!(of("vm_defaults.memory").0.as_u64().unwrap() > 0);
        assert_eq!(of("fetch.attempts"), (5.into(), ConfigSource::Default));
        assert_eq!(of("catalog"), (json!([]), ConfigSource::Default));
        assert_eq!(of("allow"), (json!({}), ConfigSource::Default));
    }
}
