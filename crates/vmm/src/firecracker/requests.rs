//! The resources of Firecracker's API that banger uses (its `src/firecracker/swagger/firecracker.yaml`).

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::{Card, Disk, LaunchSpec};

/// A request body with its place.
pub(super) trait Resource: Serialize + Sync {
    /// The path of the request.
    fn path(&self) -> String;
    /// What it does, as part of a sentence.
    fn what(&self) -> String;
}

/// vCPUs and memory.
#[derive(Debug, Serialize)]
pub(super) struct MachineConfig {
    vcpu_count: u32,
    mem_size_mib: u64,
}

impl MachineConfig {
    pub(super) const fn of(spec: &LaunchSpec) -> Self {
        Self {
            vcpu_count: spec.vcpus,
            mem_size_mib: spec.memory.as_mib(),
        }
    }
}

/// Kernel, initrd and command line.
#[derive(Debug, Serialize)]
pub(super) struct BootSource {
    kernel_image_path: PathBuf,
    initrd_path: PathBuf,
    boot_args: String,
}

/// `reboot=k`: a reboot by the keyboard controller is how a guest ends a Firecracker. The i8042 flags keep the kernel
/// from probing that controller for devices it does not have, which takes half a second.
const BOOT_ARGS: [&str; 7] = [
    "console=ttyS0",
    "reboot=k",
    "pci=off",
    "i8042.noaux",
    "i8042.nomux",
    "i8042.dumbkbd",
    "i8042.nopnp",
];

impl BootSource {
    pub(super) fn of(spec: &LaunchSpec) -> Self {
        let args = BOOT_ARGS
            .into_iter()
            .chain(spec.boot_args.iter().map(String::as_str));
        Self {
            kernel_image_path: spec.kernel.vmlinux.clone(),
            initrd_path: spec.initrd.clone(),
            boot_args: args.collect::<Vec<_>>().join(" "),
        }
    }
}

/// A block device. They appear in the guest in the order of their requests.
#[derive(Debug, Serialize)]
pub(super) struct Drive {
    drive_id: String,
    path_on_host: PathBuf,
    is_root_device: bool,
    is_read_only: bool,
    cache_type: &'static str,
}

impl Drive {
    pub(super) fn of(index: usize, disk: &Disk) -> Self {
        Self {
            drive_id: format!("disk{index}"),
            path_on_host: disk.path.clone(),
            // banger's initrd mounts the root by itself.
            is_root_device: false,
            is_read_only: !disk.writable,
            // The default forgets the guest's flushes, and with them what the guest has synced when the host dies.
            cache_type: if disk.writable { "Writeback" } else { "Unsafe" },
        }
    }
}

/// A network card. Firecracker takes the TAP over with offloads and the header that `IFF_VNET_HDR` stands for.
#[derive(Debug, Serialize)]
pub(super) struct NetworkInterface {
    iface_id: &'static str,
    host_dev_name: String,
    guest_mac: String,
}

impl NetworkInterface {
    pub(super) fn of(card: &Card) -> Self {
        Self {
            iface_id: "eth0",
            host_dev_name: card.tap.clone(),
            guest_mac: card.mac.clone(),
        }
    }
}

/// The vsock device.
#[derive(Debug, Serialize)]
pub(super) struct Vsock {
    guest_cid: u32,
    uds_path: &'static str,
}

impl Vsock {
    pub(super) const fn at(uds_path: &'static str) -> Self {
        Self {
            guest_cid: 3,
            uds_path,
        }
    }
}

/// Something that the machine does once.
#[derive(Debug, Serialize)]
#[serde(tag = "action_type")]
pub(super) enum Action {
    InstanceStart,
}

/// Whether the vCPUs run.
#[derive(Debug, Serialize)]
#[serde(tag = "state")]
pub(super) enum VmState {
    Paused,
    Resumed,
}

/// A snapshot to be made of a paused machine.
#[derive(Debug, Serialize)]
pub(super) struct SnapshotCreate {
    snapshot_type: &'static str,
    snapshot_path: PathBuf,
    mem_file_path: PathBuf,
}

impl SnapshotCreate {
    pub(super) fn into(dir: &Path) -> Self {
        Self {
            snapshot_type: "Full",
            snapshot_path: dir.join("state"),
            mem_file_path: dir.join("memory"),
        }
    }
}

macro_rules! resource {
    ($type:ty, $path:expr, $what:expr) => {
        impl Resource for $type {
            fn path(&self) -> String {
                $path.to_owned()
            }

            fn what(&self) -> String {
                $what.to_owned()
            }
        }
    };
}

resource!(
    MachineConfig,
    "/machine-config",
    "set the vCPUs and memory of the VM"
);
resource!(BootSource, "/boot-source", "set the kernel");
resource!(Vsock, "/vsock", "add the vsock device");
resource!(Action, "/actions", "start the VM");
resource!(VmState, "/vm", "pause or resume the machine");
resource!(SnapshotCreate, "/snapshot/create", "create a snapshot");

impl Resource for Drive {
    fn path(&self) -> String {
        format!("/drives/{}", self.drive_id)
    }

    fn what(&self) -> String {
        format!("attach {}", self.path_on_host.display())
    }
}

impl Resource for NetworkInterface {
    fn path(&self) -> String {
        format!("/network-interfaces/{}", self.iface_id)
    }

    fn what(&self) -> String {
        format!("attach the network card to {}", self.host_dev_name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_what_the_api_documents() {
        let disk = Disk {
            path: "/v/disk.ext4".into(),
            writable: true,
        };
        assert_eq!(
            to_json(&Drive::of(1, &disk)),
            r#"{"drive_id":"disk1","path_on_host":"/v/disk.ext4","is_root_device":false,"is_read_only":false,"cache_type":"Writeback"}"#
        );
        assert_eq!(
            to_json(&Action::InstanceStart),
            r#"{"action_type":"InstanceStart"}"#
        );
        assert_eq!(to_json(&VmState::Paused), r#"{"state":"Paused"}"#);
        assert_eq!(
            to_json(&Vsock::at("vsock.sock")),
            r#"{"guest_cid":3,"uds_path":"vsock.sock"}"#
        );
    }

    #[test]
    fn a_card_is_a_network_interface() {
        let card = NetworkInterface::of(&Card {
            tap: "bgr0t1".to_owned(),
            mac: "06:00:ac:10:00:02".to_owned(),
            within: None,
        });
        assert_eq!(card.path(), "/network-interfaces/eth0");
        assert_eq!(card.what(), "attach the network card to bgr0t1");
        assert_eq!(
            to_json(&card),
            r#"{"iface_id":"eth0","host_dev_name":"bgr0t1","guest_mac":"06:00:ac:10:00:02"}"#
        );
    }

    fn to_json(body: &impl Serialize) -> String {
        serde_json::to_string(body).unwrap()
    }
}
