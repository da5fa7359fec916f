//! How large the host is.

use banger_model::{ByteSize, HostSize};

/// The size of the host this runs on.
pub fn host_size() -> HostSize {
    let info = rustix::system::sysinfo();
    let memory = info.totalram * u64::from(info.mem_unit);
    // Every start asks: one system call, and not the files of cgroups, whose quotas are no fewer CPUs.
    let cpus = rustix::thread::sched_getaffinity(None).map_or(1, |set| set.count());
    HostSize {
        cpus: cpus.max(1),
        memory: ByteSize::bytes(memory),
    }
}
