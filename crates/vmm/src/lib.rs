//! Machines: the interface of a virtual machine monitor to the daemon, and the monitors that implement it.
//!
//! A [`Backend`] turns a [`LaunchSpec`] into a [`Machine`], which is one process (or, for QEMU, a process and its
//! vsock device). Machines are their own session leaders and outlive the daemon; a [`MachineRecord`] is enough for a
//! later daemon to [`Backend::adopt`] one. A machine is identified by process id *and* start time, and held by pidfd,
//! so a reused process id is never mistaken for it.
//!
//! Every backend gives the same contract to the guest:
//! - disks are `/dev/vda`, `/dev/vdb`, … in the order of [`LaunchSpec::disks`], with a network card or without;
//! - a network card is a `virtio_net` device with the hardware address of its [`Card`];
//! - vsock is Firecracker's hybrid vsock: guest connections to CID 2 and port P arrive at `vsock.sock_P` in the
//!   machine's directory, and [`Machine::dial`] reaches the guest's listeners;
//! - the guest's reboot ends the machine with [`Ended::Clean`].

pub mod console;
pub mod fake;
pub mod firecracker;
pub mod path;
pub mod posture;
pub mod probe;
pub mod qemu;

mod descriptor;
mod error;
mod fresh;
mod hybrid;
mod inotify;
mod machine;
mod process;
mod running;
mod spawn;
mod spec;
mod within;

pub use error::Error;
pub use machine::{Backend, Capabilities, Ended, Machine};
pub use process::ProcessId;
pub use spec::{Card, Disk, KernelFiles, LaunchSpec, MachineRecord};
pub use within::{Within, enter};
