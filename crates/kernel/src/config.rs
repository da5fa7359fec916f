//! What a kernel must have to be a guest's, by the names of its configuration options.

use std::collections::BTreeMap;

use crate::error::Error;

/// A kernel's configuration.
#[derive(Debug)]
pub(crate) struct Config(BTreeMap<String, Setting>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Setting {
    BuiltIn,
    Module,
}

/// An option, the module that it is when it is one, and what needs it.
struct Need {
    option: &'static str,
    module: Option<&'static str>,
    why: &'static str,
}

const fn need(option: &'static str, module: Option<&'static str>, why: &'static str) -> Need {
    Need { option, module, why }
}

const NEEDS: [Need; 12] = [
    need("CONFIG_BLK_DEV_INITRD", None, "the agent comes in an initrd"),
    need("CONFIG_DEVTMPFS", None, "devices"),
    need("CONFIG_TMPFS", None, "/run"),
    need("CONFIG_PROC_FS", None, "/proc"),
    need("CONFIG_SYSFS", None, "/sys"),
    need("CONFIG_UNIX", Some("unix"), "the agent's own sockets"),
    need("CONFIG_VIRTIO_MMIO", Some("virtio_mmio"), "the VMM's devices"),
    need("CONFIG_VIRTIO_BLK", Some("virtio_blk"), "disks"),
    need("CONFIG_EXT4_FS", Some("ext4"), "images and disks"),
    need(
        "CONFIG_OVERLAY_FS",
        Some("overlay"),
        "the root, over a shared image",
    ),
    need(
        "CONFIG_VSOCKETS",
        Some("vsock"),
        "the agent's connection to the host",
    ),
    need(
        "CONFIG_VIRTIO_VSOCKETS",
        Some("vmw_vsock_virtio_transport"),
        "the agent's connection to the host",
    ),
];

/// Modules that are taken when they are there: ext4 asks for its checksum by name and not by symbol, and guests are
/// glad of a network.
pub(crate) const WELCOME: [&str; 3] = ["crc32c_generic", "crc32c_intel", "virtio_net"];

impl Config {
    /// Reads a `.config`.
    pub(crate) fn parse(text: &str) -> Self {
        let setting = |line: &str| {
            let (option, value) = line.split_once('=')?;
            let setting = match value.trim() {
                "y" => Setting::BuiltIn,
                "m" => Setting::Module,
                _ => return None,
            };
            Some((option.trim().to_owned(), setting))
        };
        Self(text.lines().filter_map(setting).collect())
    }

    fn get(&self, option: &str) -> Option<Setting> {
        self.0.get(option).copied()
    }

    /// What else is worth telling.
    pub(crate) fn supports(&self) -> Vec<String> {
        let telling = [
            ("CONFIG_SMP", "smp"),
            ("CONFIG_ACPI", "acpi"),
            ("CONFIG_CGROUPS", "cgroups"),
            ("CONFIG_NF_TABLES", "nftables"),
            ("CONFIG_FUSE_FS", "fuse"),
        ];
        let present = telling
            .into_iter()
            .filter(|(option, _)| self.get(option).is_some());
        present.map(|(_, word)| word.to_owned()).collect()
    }
}

/// The driver of a guest's network card, which a kernel may do without.
const NETWORK: (&str, &str) = ("CONFIG_VIRTIO_NET", "virtio_net");

/// Whether a guest drives a network card: by the kernel itself, or by a module that was `taken` (as `11-virtio_net.ko`).
pub(crate) fn drives_network(config: Option<&Config>, taken: &[String]) -> bool {
    let (option, module) = NETWORK;
    let module = format!("-{module}.ko");
    config.is_some_and(|config| config.get(option) == Some(Setting::BuiltIn))
        || taken.iter().any(|name| name.ends_with(&module))
}

/// A module to take, and the option that it is for.
pub(crate) struct Wanted {
    pub(crate) option: &'static str,
    pub(crate) module: &'static str,
}

/// The modules that a guest with this kernel needs. Without a configuration everything that could be a module is
/// looked for among the modules, if there are any.
pub(crate) fn wanted(config: Option<&Config>, has_modules: bool) -> Result<Vec<Wanted>, Error> {
    let Some(config) = config else {
        let maybe = NEEDS.iter().filter(|_| has_modules);
        return Ok(maybe
            .filter_map(|need| {
                Some(Wanted {
                    option: need.option,
                    module: need.module?,
                })
            })
            .collect());
    };
    let mut missing = Vec::new();
    let mut wanted = Vec::new();
    for need in &NEEDS {
        match (config.get(need.option), need.module) {
            (Some(Setting::BuiltIn), _) => {}
            (Some(Setting::Module), Some(module)) => wanted.push(Wanted {
                option: need.option,
                module,
            }),
            (Some(Setting::Module) | None, _) => missing.push(format!("{} ({})", need.option, need.why)),
        }
    }
    if missing.is_empty() {
        Ok(wanted)
    } else {
        Err(Error::Lacks { missing })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(setting: &str) -> String {
        NEEDS
            .iter()
            .map(|need| format!("{}={}\n", need.option, setting))
            .collect()
    }

    #[test]
    fn what_is_missing_is_named_with_its_reason() {
        let text = all("y").replace("CONFIG_OVERLAY_FS=y\n", "# CONFIG_OVERLAY_FS is not set\n");
        let error = wanted(Some(&Config::parse(&text)), false).err().unwrap();
        assert_eq!(
            error.to_string(),
            "the kernel lacks CONFIG_OVERLAY_FS (the root, over a shared image)"
        );
    }

    #[test]
    fn a_network_card_is_driven_by_the_kernel_or_by_a_module_that_is_there() {
        let parse = |setting: &str| Config::parse(&format!("CONFIG_VIRTIO_NET={setting}\n"));
        let taken = ["11-virtio_net.ko".to_owned()];
        assert!(drives_network(Some(&parse("y")), &[]));
        assert!(drives_network(Some(&parse("m")), &taken));
        assert!(drives_network(None, &taken));
        assert!(!drives_network(Some(&parse("m")), &["00-ext4.ko".to_owned()]));
        assert!(!drives_network(Some(&parse("n")), &[]));
        assert!(!drives_network(None, &[]));
    }

    #[test]
    fn only_modules_are_wanted() {
        assert!(wanted(Some(&Config::parse(&all("y"))), true).unwrap().is_empty());
        let text = all("y").replace("CONFIG_EXT4_FS=y", "CONFIG_EXT4_FS=m");
        let wanted = wanted(Some(&Config::parse(&text)), true).unwrap();
        assert_eq!(
            wanted.iter().map(|wanted| wanted.module).collect::<Vec<_>>(),
            ["ext4"]
        );
    }
}
