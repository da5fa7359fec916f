//! How much of the host a repository may ask for. Who gives the command may give more.

use banger_api::Wishes;
use banger_model::{ByteSize, HostSize, VmDefaults};
use serde::Deserialize;
use utoipa::ToSchema;

/// The most that a repository gets, trusted or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ceilings {
    pub(crate) vcpus: u32,
    pub(crate) memory: ByteSize,
    pub(crate) disk_size: ByteSize,
}

/// The most that a repository may ask for in its `banger.toml` or `devcontainer.json`, whether it is trusted or not. Options of a
/// command are not limited by it. The ceilings are never below what a VM gets that asks for nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Set {
    /// Most virtual CPUs.
    #[schema(value_type = u32, example = 8, extensions(("x-default" = json!("half of the host's CPUs, 1 to 8"))))]
    max_vcpus: Option<u32>,
    /// Most memory.
    #[schema(value_type = String, format = "size", example = "16G",
        extensions(("x-default" = json!("a quarter of the host's memory, at most 8 GiB"))))]
    max_memory: Option<ByteSize>,
    /// Largest disk.
    #[schema(value_type = String, format = "size", example = "100G", extensions(("x-default" = json!("`\"64G\"`"))))]
    max_disk_size: Option<ByteSize>,
}

impl Ceilings {
    /// Those of a host: half its CPUs, one to eight; a quarter of its memory, at most 8 GiB; 64 GiB of disk. Never less than
    /// what a VM gets that asks for nothing.
    pub fn of(set: Set, host: HostSize, usual: VmDefaults) -> Self {
        let quarter = ByteSize::mib(host.memory.as_mib() / 4).min(ByteSize::gib(8));
        Self {
            vcpus: set
                .max_vcpus
                .unwrap_or((host.cpus / 2).clamp(1, 8))
                .max(usual.vcpus),
            memory: set.max_memory.unwrap_or(quarter).max(usual.memory),
            disk_size: set
                .max_disk_size
                .unwrap_or(ByteSize::gib(64))
                .max(usual.disk_size),
        }
    }

    /// Lowers what is above them, and says so.
    pub(super) fn hold(&self, wishes: &mut Wishes) {
        let notes = &mut wishes.notes;
        if let Some(vcpus) = wishes.vcpus.as_mut().filter(|vcpus| **vcpus > self.vcpus) {
            let most = self.vcpus;
            notes.push(format!("{vcpus} vCPUs are more than the {most} that a repository can request: to allow them, add `--vcpus {vcpus}`"));
            *vcpus = most;
        }
        let mut size = |size: &mut Option<ByteSize>, most: ByteSize, what: &str, option: &str| {
            if let Some(size) = size.as_mut().filter(|size| **size > most) {
                notes.push(format!("{size} of {what} is more than the {most} that a repository can request: to allow it, add `{option} {}`", written(*size)));
                *size = most;
            }
        };
        size(&mut wishes.memory, self.memory, "memory", "--memory");
        size(&mut wishes.disk_size, self.disk_size, "disk", "--disk-size");
    }
}

/// A size as an option takes it.
fn written(size: ByteSize) -> String {
    format!("{}M", size.as_mib())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_above_is_lowered_and_said() {
        let host = HostSize {
            cpus: 4,
            memory: ByteSize::gib(24),
        };
        let ceilings = Ceilings::of(Set::default(), host, VmDefaults::for_host(host));
        for (case, vcpus, memory, disk) in [
            ("large", 32, ByteSize::gib(20), ByteSize::gib(1000)),
            (
                "larger-than-the-host",
                u32::MAX,
                ByteSize::gib(900),
                ByteSize::bytes(u64::MAX),
            ),
        ] {
            let mut wishes = Wishes {
                vcpus: Some(vcpus),
                memory: Some(memory),
                disk_size: Some(disk),
                ..Wishes::default()
            };
            ceilings.hold(&mut wishes);
            assert_eq!((wishes.vcpus, wishes.memory), (Some(2), Some(ByteSize::gib(6))));
            assert_eq!(wishes.disk_size, Some(ByteSize::gib(64)));
            assert_eq!(wishes.notes.len(), 3, "{:?}", wishes.notes);
            banger_cases::refused("trust", &format!("ceiling.{case}"));
        }
    }

    #[test]
    fn what_is_below_stays_and_the_user_may_allow_more() {
        let host = HostSize {
            cpus: 2,
            memory: ByteSize::gib(8),
        };
        let set = Set {
            max_memory: Some(ByteSize::gib(6)),
            ..Set::default()
        };
        let ceilings = Ceilings::of(set, host, VmDefaults::for_host(host));
        let mut wishes = Wishes {
            vcpus: Some(1),
            memory: Some(ByteSize::gib(6)),
            ..Wishes::default()
        };
        ceilings.hold(&mut wishes);
        assert_eq!((wishes.memory, wishes.notes.len()), (Some(ByteSize::gib(6)), 0));
    }
}
