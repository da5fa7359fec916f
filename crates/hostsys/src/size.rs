//! How large the host is.

use banger_model::{ByteSize, HostSize};

/// The size of the host this runs on.
pub fn host_size() -> HostSize {
    let info = rustix::system::sysinfo();
    let memory = info.totalram * u64::from(info.mem_unit);
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    HostSize {
        cpus: u32::try_from(cpus).unwrap_or(u32::MAX),
        memory: ByteSize::bytes(memory),
    }
}
