//! How large a VM is when nobody says.

use serde::{Deserialize, Serialize};

use crate::ByteSize;

/// The part of a host that matters for the size of a VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct HostSize {
    /// CPUs that this process may use.
    pub cpus: u32,
    /// Installed memory.
    #[schema(value_type = u64)]
    pub memory: ByteSize,
}

/// What a VM gets when `vm create` is not told otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct VmDefaults {
    /// Virtual CPUs.
    pub vcpus: u32,
    /// Memory.
    #[schema(value_type = u64)]
    pub memory: ByteSize,
    /// Size of the writable disk, which is sparse.
    #[schema(value_type = u64)]
    pub disk_size: ByteSize,
}

impl VmDefaults {
    /// The defaults for a host: a quarter of its CPUs, one to four; an eighth of its memory in whole 128 MiB, from
    /// 512 MiB to 8 GiB; a disk of 8 GiB.
    pub fn for_host(host: HostSize) -> Self {
        let step = ByteSize::mib(128).as_bytes();
        let eighth = host.memory.as_bytes() / 8 / step * step;
        let memory = eighth.clamp(ByteSize::mib(512).as_bytes(), ByteSize::gib(8).as_bytes());
        Self {
            vcpus: (host.cpus / 4).clamp(1, 4),
            memory: ByteSize::bytes(memory),
            disk_size: ByteSize::gib(8),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(cpus: u32, gib: u64) -> (u32, u64) {
        let defaults = VmDefaults::for_host(HostSize {
            cpus,
            memory: ByteSize::gib(gib),
        });
        (defaults.vcpus, defaults.memory.as_mib())
    }

    #[test]
    fn defaults_follow_the_host_within_bounds() {
        assert_eq!(of(1, 1), (1, 512));
        assert_eq!(of(2, 23), (1, 2944));
        assert_eq!(of(8, 32), (2, 4096));
        assert_eq!(of(64, 512), (4, 8192));
    }
}
