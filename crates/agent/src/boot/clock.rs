//! Wall time and randomness, which a guest has from its host.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use banger_guest_api::Clock;
use rustix::time::{ClockId, Timespec, clock_settime};

/// Sets the wall clock.
pub(super) fn set(clock: Clock) -> io::Result<()> {
    let now = Timespec {
        tv_sec: clock.secs,
        tv_nsec: clock.nanos.into(),
    };
    Ok(clock_settime(ClockId::Realtime, now)?)
}

/// `RNDADDENTROPY` of random(4), and its argument `struct rand_pool_info`.
const RNDADDENTROPY: u64 = 0x4008_5203;

#[repr(C)]
struct PoolInfo {
    entropy_bits: i32,
    bytes: i32,
    buffer: [u8; 64],
}

/// Mixes the host's random bytes, in hexadecimal, into the kernel's pool and lets them count.
pub(super) fn mix_entropy(hex: &str) -> io::Result<()> {
    let mut info = PoolInfo {
        entropy_bits: 0,
        bytes: 0,
        buffer: [0; 64],
    };
    for (slot, digits) in info.buffer.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        let digits = std::str::from_utf8(digits).map_err(io::Error::other)?;
        *slot = u8::from_str_radix(digits, 16).map_err(io::Error::other)?;
        info.bytes += 1;
    }
    info.entropy_bits = info.bytes * 8;
    let pool = File::options().write(true).open("/dev/urandom")?;
    // SAFETY: the argument is a `rand_pool_info` with as many bytes as it says.
    let result = unsafe { libc::ioctl(pool.as_raw_fd(), RNDADDENTROPY as _, &raw const info) };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
