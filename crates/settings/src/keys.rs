//! The keys of `config.toml` with their values: what holds, and where it was said.

use std::path::Path;

use banger_api::{ConfigEntry, ConfigSource, Paths};
use serde_json::Value;

use crate::config::{Config, Error};

/// Every key with its default, in TOML. Nothing stands for a key that has none, and `host` for one that follows the host.
pub(crate) const KEYS: [(&str, &str); 33] = [
    ("vmm", r#""auto""#),
    ("default_image", ""),
    ("default_kernel", ""),
    ("firecracker_bin", ""),
    ("qemu_bin", ""),
    ("network", r#""auto""#),
    ("subnet", ""),
    ("tap_pool_size", "4"),
    ("default_net", r#""off""#),
    ("default_dns", "[]"),
    ("dns_listen", r#""127.0.0.1:5354""#),
    ("auto_export", "false"),
    ("guest_proxy", "false"),
    ("git_identity", "true"),
    ("file_sync_defaults", "true"),
    ("ssh_keys", "[]"),
    ("ssh_key_path", ""),
    ("vm_defaults.vcpus", HOST),
    ("vm_defaults.memory", HOST),
    ("vm_defaults.disk_size", HOST),
    ("allow", "{}"),
    ("file_sync", "[]"),
    ("repository.max_vcpus", HOST),
    ("repository.max_memory", HOST),
    ("repository.max_disk_size", HOST),
    ("pull.max_size", r#""256GiB""#),
    ("pull.max_entries", "4000000"),
    ("pull.max_ratio", "200"),
    ("pull.max_window", r#""128MiB""#),
    ("registry", "{}"),
    ("fetch.connect_seconds", HOST),
    ("fetch.stall_seconds", HOST),
    ("fetch.attempts", HOST),
];

const HOST: &str = "host";

/// Keys that an environment variable overrides.
const OVERRIDDEN: [(&str, &str); 2] = [
    ("firecracker_bin", "BANGER_FIRECRACKER"),
    ("qemu_bin", "BANGER_QEMU"),
];

/// Every key with its value and its source; `environment` has the variables.
///
/// # Errors
/// When the file is not valid.
pub fn show(paths: &Paths, environment: impl Fn(&str) -> Option<String>) -> Result<Vec<ConfigEntry>, Error> {
    let path = paths.config_file();
    let text = crate::editing::read(&path)?;
    let config = Config::parse(&path, &text)?;
    let file = table(&path, &text)?;
    let keys = KEYS.iter().chain(&[("catalog", "[]")]);
    Ok(keys
        .map(|(key, default)| entry(key, default, &config, &file, &environment))
        .collect())
}

fn entry(
    key: &str,
    default: &str,
    config: &Config,
    file: &toml::Table,
    environment: impl Fn(&str) -> Option<String>,
) -> ConfigEntry {
    let variable = OVERRIDDEN.iter().find(|(overridden, _)| *overridden == key);
    let (value, source) = if let Some(value) = variable.and_then(|(_, variable)| environment(variable)) {
        (Value::String(value), ConfigSource::Environment)
    } else if let Some(value) = said(file, key) {
        (value, ConfigSource::File)
    } else {
        (default_of(key, default, config), ConfigSource::Default)
    };
    ConfigEntry {
        key: key.to_owned(),
        value,
        source,
    }
}

/// What the file says of a key.
fn said(file: &toml::Table, key: &str) -> Option<Value> {
    let mut parts = key.split('.');
    let mut value = file.get(parts.next()?)?;
    for part in parts {
        value = value.get(part)?;
    }
    serde_json::to_value(value).ok()
}

fn default_of(key: &str, default: &str, config: &Config) -> Value {
    match default {
        "" => Value::Null,
        HOST => of_host(key, config),
        default => {
            let parsed = toml::from_str::<toml::Table>(&format!("value = {default}"));
            let value = parsed.ok().and_then(|table| said(&table, "value"));
            value.unwrap_or_default()
        }
    }
}

fn of_host(key: &str, config: &Config) -> Value {
    let sizes = config.sizes(banger_hostsys::host_size());
    let ceilings = config.ceilings();
    let fetch = config.fetch.limits();
    match key {
        "vm_defaults.vcpus" => sizes.vcpus.into(),
        "vm_defaults.memory" => sizes.memory.as_bytes().into(),
        "vm_defaults.disk_size" => sizes.disk_size.as_bytes().into(),
        "repository.max_vcpus" => ceilings.vcpus.into(),
        "repository.max_memory" => ceilings.memory.as_bytes().into(),
        "repository.max_disk_size" => ceilings.disk_size.as_bytes().into(),
        "fetch.connect_seconds" => fetch.connect.as_secs().into(),
        "fetch.stall_seconds" => fetch.stall.as_secs().into(),
        "fetch.attempts" => fetch.attempts.into(),
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

    /// The defaults of the list are those of the parser: a file that has them all changes nothing.
    #[test]
    fn the_defaults_are_right() {
        let said = KEYS.iter().filter(|(_, default)| !matches!(*default, "" | HOST));
        let text: Vec<String> = said.map(|(key, default)| format!("{key} = {default}")).collect();
        assert!(text.len() > 15);
        assert_eq!(
            toml::from_str::<Config>(&text.join("\n")).unwrap(),
            Config::default()
        );
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
        assert_eq!(of("fetch.attempts").1, ConfigSource::Default);
    }
}
