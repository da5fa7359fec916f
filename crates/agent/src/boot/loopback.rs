//! The loopback interface, which the kernel leaves down.

use std::io;
use std::os::fd::AsRawFd;

use banger_guest_api::Failure;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use crate::failure::During;

/// Brings `lo` up (netdevice(7)). A kernel without networking has none, and needs none.
pub(super) fn up() -> Result<(), Failure> {
    let socket = match socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None) {
        Ok(socket) => socket,
        Err(Errno::AFNOSUPPORT) => return Ok(()),
        Err(error) => return Err(error).during("bring the loopback interface up"),
    };
    // SAFETY: zeroes are a valid `ifreq`.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (slot, byte) in request.ifr_name.iter_mut().zip(b"lo") {
        *slot = *byte as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as i16;
    // SAFETY: the request is an `ifreq` with name and flags, as `SIOCSIFFLAGS` reads it.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw const request) };
    if result == 0 {
        return Ok(());
    }
    match io::Error::last_os_error() {
        error if error.raw_os_error() == Some(libc::ENODEV) => Ok(()),
        error => Err(error).during("bring the loopback interface up"),
    }
}
