//! What `vm set` may change, and when.

use std::collections::BTreeMap;

use banger_api::VmSet;
use banger_model::network::Allow;
use banger_model::{Phase, VmSpec};
use banger_settings::Config;

use super::SpecError;

/// The specification after `set`. Sizes, VMM and kernel take a VM that is at rest; disks only grow.
pub(crate) fn changed(
    spec: &VmSpec,
    phase: Phase,
    set: &VmSet,
    config: &Config,
) -> Result<VmSpec, SpecError> {
    let needs_rest = [
        (set.vcpus.is_some(), "the number of vCPUs"),
        (set.memory.is_some(), "memory"),
        (set.disk_size.is_some(), "the disk's size"),
        (set.vmm.is_some(), "the VMM"),
        (set.kernel.is_some(), "the kernel"),
    ];
    if let Some((_, what)) = needs_rest
        .into_iter()
        .find(|(asked, _)| *asked && phase.may_have_machine())
    {
        return Err(SpecError::NeedsStopped {
            name: spec.name.clone(),
            phase,
            what,
        });
    }
    let mut changed = spec.clone();
    changed.vcpus = set.vcpus.unwrap_or(spec.vcpus);
    changed.memory = set.memory.unwrap_or(spec.memory);
    changed.disk_size = set.disk_size.unwrap_or(spec.disk_size);
    changed.vmm = set.vmm.unwrap_or(spec.vmm);
    if let Some(kernel) = &set.kernel {
        changed.kernel = kernel.clone();
    }
    changed.net.mode = set.net.unwrap_or(spec.net.mode);
    if let Some(allow) = &set.allow {
        changed.net.allow = rules(allow, config)?;
    }
    changed.anonymous = set.anonymous.unwrap_or(spec.anonymous);
    merge(&mut changed.env, &set.env);
    merge(&mut changed.labels, &set.labels);
    if changed.disk_size < spec.disk_size {
        return Err(SpecError::Shrink {
            name: spec.name.clone(),
            now: spec.disk_size,
            wanted: changed.disk_size,
        });
    }
    changed.validate().map_err(SpecError::Invalid)?;
    Ok(changed)
}

/// The rules of an allow list, in which `@NAME` stands for those that the configuration has by that name.
pub(crate) fn rules(texts: &[String], config: &Config) -> Result<Vec<Allow>, SpecError> {
    let mut rules = Vec::new();
    for text in texts {
        match text.strip_prefix('@') {
            Some(preset) => {
                rules.extend(
                    config
                        .allow
                        .get(preset)
                        .cloned()
                        .ok_or_else(|| SpecError::NoPreset {
                            name: preset.to_owned(),
                            present: config.allow.keys().cloned().collect(),
                        })?,
                )
            }
            None => rules.push(text.parse().map_err(SpecError::Allow)?),
        }
    }
    Ok(rules)
}

/// Sets what has a value and removes what has none.
fn merge(into: &mut BTreeMap<String, String>, changes: &BTreeMap<String, String>) {
    for (name, value) in changes {
        if value.is_empty() {
            into.remove(name);
        } else {
            into.insert(name.clone(), value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use banger_model::network::Policy;
    use banger_model::{ByteSize, VmId, VmmChoice};

    fn spec() -> VmSpec {
        VmSpec {
            id: VmId::from_bytes([7; 8]),
            name: "web".parse().unwrap(),
            image: "debian".parse().unwrap(),
            kernel: "debian".parse().unwrap(),
            vcpus: 1,
            memory: ByteSize::mib(512),
            disk_size: ByteSize::gib(8),
            vmm: VmmChoice::Auto,
            env: BTreeMap::from([("A".to_owned(), "1".to_owned())]),
            labels: BTreeMap::new(),
            net: Policy::default(),
            anonymous: false,
            repository: None,
        }
    }

    #[test]
    fn an_empty_value_removes_a_variable() {
        let set = VmSet {
            env: BTreeMap::from([("A".to_owned(), String::new()), ("B".to_owned(), "2".to_owned())]),
            ..VmSet::default()
        };
        let after = changed(&spec(), Phase::Running, &set, &Config::default()).unwrap();
        assert_eq!(after.env, BTreeMap::from([("B".to_owned(), "2".to_owned())]));
    }

    #[test]
    fn memory_waits_for_a_stop_and_disks_only_grow() {
        let memory = VmSet {
            memory: Some(ByteSize::gib(1)),
            ..VmSet::default()
        };
        let refused = changed(&spec(), Phase::Running, &memory, &Config::default()).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "VM `web` is running; memory can only change while the VM is stopped"
        );
        assert_eq!(
            changed(&spec(), Phase::Stopped, &memory, &Config::default())
                .unwrap()
                .memory,
            ByteSize::gib(1)
        );
        let smaller = VmSet {
            disk_size: Some(ByteSize::gib(4)),
            ..VmSet::default()
        };
        assert!(matches!(
            changed(&spec(), Phase::Stopped, &smaller, &Config::default()),
            Err(SpecError::Shrink { .. })
        ));
    }
}
