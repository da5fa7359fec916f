//! What a machine is launched from, and what is kept to find it again.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use banger_model::{ByteSize, VmId, VmmKind};
use serde::{Deserialize, Serialize};

use crate::ProcessId;

/// Everything a backend needs to launch a machine.
#[derive(Debug, Clone)]
pub struct LaunchSpec {
    /// The VM, for process names and logs.
    pub id: VmId,
    /// A directory of the machine's own, mode 0700, that exists. Sockets, logs and whatever the backend needs live
    /// in it. Its path is short enough for a Unix socket's address (108 bytes) with 24 bytes to spare.
    pub dir: PathBuf,
    /// The kernel.
    pub kernel: KernelFiles,
    /// The initial RAM file system.
    pub initrd: PathBuf,
    /// Boot arguments of banger and of the kernel's record. The backend adds its own (console, reboot, clock).
    pub boot_args: Vec<String>,
    /// Virtual CPUs.
    pub vcpus: u32,
    /// Memory.
    pub memory: ByteSize,
    /// Disks, in the order of the guest's `/dev/vda`, `/dev/vdb`, ….
    pub disks: Vec<Disk>,
    /// The network card, if it has one, and with it the network that the VMM is started in.
    pub network: Option<Card>,
    /// Locks on the disks that the guest may write to (flock(2)). The VMM inherits them, so they are held for exactly as long as
    /// it lives, whatever becomes of the daemon.
    pub locks: Vec<Arc<OwnedFd>>,
    /// A program that, run as `PROGRAM console-sink DIR`, calls [`crate::console::sink`] on its standard input.
    pub console_sink: PathBuf,
}

impl LaunchSpec {
    /// The process in whose network the VMM is started, if that is another than ours.
    pub(crate) fn within(&self) -> Option<&ProcessId> {
        self.network.as_ref()?.within.as_ref()
    }
}

/// A kernel in the forms that VMMs take.
#[derive(Debug, Clone)]
pub struct KernelFiles {
    /// The uncompressed ELF.
    pub vmlinux: PathBuf,
    /// Whether QEMU boots the ELF: it has the PVH entry that Xen's `XEN_ELFNOTE_PHYS32_ENTRY` names.
    pub has_pvh: bool,
    /// The compressed boot image, where there is one.
    pub vmlinuz: Option<PathBuf>,
}

/// One block device.
#[derive(Debug, Clone)]
pub struct Disk {
    /// The backing file, a raw image.
    pub path: PathBuf,
    /// Whether the guest may write to it.
    pub writable: bool,
}

/// The network card, which is the guest's `virtio_net` device. The guest knows it by its hardware address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// The name of its TAP (the kernel's `networking/tuntap`): persistent, owned by the user of the VMM, and made with
    /// `IFF_TAP | IFF_NO_PI | IFF_VNET_HDR`. The VMM attaches to it, and leaves it when it ends.
    pub tap: String,
    /// The hardware address: six bytes in hexadecimal with colons between.
    pub mac: String,
    /// A process in whose network the TAP is, if that is another than ours; the VMM is started there.
    pub within: Option<ProcessId>,
}

/// What is stored of a machine, so that another process can adopt it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineRecord {
    /// The backend that runs it.
    pub vmm: VmmKind,
    /// How it accelerates: `kvm`, `tcg` or `none`.
    pub acceleration: String,
    /// The machine's directory.
    pub dir: PathBuf,
    /// The process whose end is the machine's end.
    pub process: ProcessId,
    /// Processes that serve it and end with it; the console's is the last.
    pub companions: Vec<ProcessId>,
}
