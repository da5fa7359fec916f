//! The command lines, as pure functions of what is launched.

use std::os::fd::RawFd;
use std::path::Path;

use crate::{Card, LaunchSpec};

/// How QEMU runs the guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Acceleration {
    /// By the hardware.
    Kvm,
    /// By translation.
    Tcg,
}

impl Acceleration {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg",
        }
    }
}

/// The arguments of `vhost-device-vsock`, which works in the machine's directory.
pub(super) fn vsock(hybrid: &str, vhost: &str) -> [String; 2] {
    [
        "--vm".to_owned(),
        format!("guest-cid=3,socket={vhost},uds-path={hybrid}"),
    ]
}

/// The arguments of QEMU, which works in the machine's directory and has the console on its standard output. `tsc_khz` is the
/// rate of the host's time stamp counter, which an emulated guest sees; `vsock` is the descriptor of the connection to the vsock device.
pub(super) fn qemu(
    spec: &LaunchSpec,
    acceleration: Acceleration,
    tsc_khz: Option<u64>,
    vsock: RawFd,
    monitors: [&str; 2],
) -> Vec<String> {
    let memory = spec.memory.as_mib();
    let (machine, cpu) = match acceleration {
        Acceleration::Kvm => ("microvm,accel=kvm,pit=off,pic=off,rtc=on", "host"),
        // Emulated guests keep time by the devices that hardware guests do without.
        Acceleration::Tcg => ("microvm,accel=tcg,rtc=on", "max"),
    };
    // Whoever boots a boot image decompresses it first: a second or more for an emulated processor.
    let compressed = spec.kernel.vmlinuz.as_ref().filter(|_| !spec.kernel.has_pvh);
    let kernel = compressed.unwrap_or(&spec.kernel.vmlinux);
    let mut args = Vec::new();
    let mut add = |option: &str, value: String| args.extend([option.to_owned(), value]);
    add("-name", format!("banger-{}", spec.id));
    add("-machine", format!("{machine},memory-backend=ram"));
    add("-cpu", cpu.to_owned());
    add("-smp", spec.vcpus.to_string());
    add("-m", format!("{memory}M"));
    // The vsock device is another process, which must see the guest's memory.
    add(
        "-object",
        format!("memory-backend-memfd,id=ram,size={memory}M,share=on"),
    );
    add("-kernel", quoted(kernel));
    add("-initrd", quoted(&spec.initrd));
    add("-append", boot_args(&spec.boot_args, acceleration, tsc_khz));
    add("-chardev", "stdio,id=console,signal=off".to_owned());
    add("-serial", "chardev:console".to_owned());
    add("-chardev", format!("socket,id=vsock,fd={vsock}"));
    // With `event_idx`: without it vhost-device-vsock 0.3 goes to sleep beside packets for the guest when one is not wanted any more.
    add("-device", "vhost-user-vsock-device,chardev=vsock".to_owned());
    for (index, disk) in spec.disks.iter().enumerate() {
        let path = quoted(&disk.path).replace(',', ",,");
        let access = if disk.writable { "off" } else { "on" };
        add(
            "-drive",
            // A guest that meets a full host stands still until there is space (`werror=enospc`), and loses nothing.
            format!(
                "id=disk{index},if=none,format=raw,readonly={access},discard=unmap,werror=enospc,file={path}"
            ),
        );
        // The guest finds them in this order.
        add("-device", format!("virtio-blk-device,drive=disk{index}"));
    }
    if let Some(card) = &spec.network {
        let [netdev, device] = network(card);
        add("-netdev", netdev);
        add("-device", device);
    }
    for monitor in monitors {
        add("-qmp", format!("unix:{monitor},server=on,wait=off"));
    }
    for flag in ["-nodefaults", "-no-user-config", "-no-reboot"] {
        args.push(flag.to_owned());
    }
    args.extend(["-display".to_owned(), "none".to_owned()]);
    args
}

/// QEMU's filter of system calls: no obsolete ones, no other user, no other program, no other priority.
pub(super) fn sandbox() -> [String; 2] {
    const DENIED: &str = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny";
    ["-sandbox".to_owned(), DENIED.to_owned()]
}

/// The TAP's end and the guest's of a network card. No script runs, and the host's kernel needs no part of it
/// (`vhost=off`): `/dev/vhost-net` is root's.
fn network(card: &Card) -> [String; 2] {
    let Card { tap, mac, within: _ } = card;
    [
        format!("tap,id=net0,ifname={tap},script=no,downscript=no,vhost=off"),
        format!("virtio-net-device,netdev=net0,mac={mac}"),
    ]
}

fn boot_args(given: &[String], acceleration: Acceleration, tsc_khz: Option<u64>) -> String {
    let mut args = vec!["console=ttyS0".to_owned(), "reboot=t".to_owned()];
    if acceleration == Acceleration::Tcg {
        // Calibration against emulated clocks sometimes never ends.
        args.extend(["no_timer_check", "lpj=4000000"].map(str::to_owned));
        if let Some(khz) = tsc_khz {
            // TCG passes the host's counter on; another rate would be a clock that is wrong by as much.
            args.push(format!("tsc_early_khz={khz}"));
            // Nothing else that the guest has is as good: of its timers' ticks, a host with other work drops some. Compared with
            // those, the counter was called unstable at five of six such boots, and then each lost tick was lost time.
            args.push("tsc=reliable".to_owned());
        }
    }
    args.extend_from_slice(given);
    args.join(" ")
}

/// Paths are UTF-8 here: QEMU's options cannot carry others, and the daemon's directories are.
fn quoted(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Disk, KernelFiles};
    use banger_model::{ByteSize, VmId};

    fn spec() -> LaunchSpec {
        LaunchSpec {
            id: VmId::from_bytes([1; 8]),
            dir: "/run/m".into(),
            kernel: KernelFiles {
                vmlinux: "/k/vmlinux".into(),
                has_pvh: false,
                vmlinuz: Some("/k/vmlinuz".into()),
            },
            initrd: "/c/initrd".into(),
            locks: Vec::new(),
            boot_args: vec!["quiet".to_owned()],
            vcpus: 2,
            memory: ByteSize::mib(512),
            disks: vec![
                Disk {
                    path: "/i/a,b.ext4".into(),
                    writable: false,
                },
                Disk {
                    path: "/v/disk.ext4".into(),
                    writable: true,
                },
            ],
            network: None,
            console_sink: "/bin/bangerd".into(),
        }
    }

    #[test]
    fn disks_keep_their_order_and_access() {
        let args = qemu(&spec(), Acceleration::Tcg, None, 3, ["q", "e"]);
        let devices: Vec<_> = args.iter().filter(|arg| arg.starts_with("virtio-blk")).collect();
        assert_eq!(
            devices,
            ["virtio-blk-device,drive=disk0", "virtio-blk-device,drive=disk1"]
        );
        assert!(
            args.iter()
                .any(|arg| arg.contains("readonly=on") && arg.ends_with("file=/i/a,,b.ext4"))
        );
        assert!(
            args.iter()
                .any(|arg| arg.contains("readonly=off") && arg.ends_with("file=/v/disk.ext4"))
        );
    }

    #[test]
    fn an_elf_with_an_entry_goes_before_a_boot_image() {
        let kernel = |has_pvh: bool| {
            let mut spec = spec();
            spec.kernel.has_pvh = has_pvh;
            let args = qemu(&spec, Acceleration::Tcg, None, 3, ["q", "e"]);
            let at = args.iter().position(|arg| arg == "-kernel").unwrap();
            args[at + 1].clone()
        };
        assert_eq!(kernel(false), "/k/vmlinuz");
        assert_eq!(kernel(true), "/k/vmlinux");
    }

    #[test]
    fn a_card_is_attached_to_its_tap_behind_the_disks() {
        let card = Card {
            tap: "bgr0t1".to_owned(),
            mac: "06:00:ac:10:00:02".to_owned(),
            within: None,
        };
        let with = LaunchSpec {
            network: Some(card),
            ..spec()
        };
        let (with, without) = (
            qemu(&with, Acceleration::Tcg, None, 3, ["q", "e"]),
            qemu(&spec(), Acceleration::Tcg, None, 3, ["q", "e"]),
        );
        let of_card: Vec<_> = with.iter().filter(|arg| !without.contains(arg)).collect();
        assert_eq!(
            of_card,
            [
                "-netdev",
                "tap,id=net0,ifname=bgr0t1,script=no,downscript=no,vhost=off",
                "virtio-net-device,netdev=net0,mac=06:00:ac:10:00:02"
            ]
        );
        assert!(!without.iter().any(|arg| arg.contains("net")));
        let place = |device: &str| with.iter().position(|arg| arg.starts_with(device));
        assert!(place("virtio-blk-device") < place("virtio-net-device"));
    }

    #[test]
    fn only_emulated_guests_are_told_the_clock() {
        let args = boot_args(&[], Acceleration::Tcg, Some(2_899_998));
        assert!(args.ends_with(" tsc_early_khz=2899998 tsc=reliable"), "{args}");
        assert!(!boot_args(&[], Acceleration::Tcg, None).contains("tsc"));
        assert_eq!(
            boot_args(&["quiet".to_owned()], Acceleration::Kvm, None),
            "console=ttyS0 reboot=t quiet"
        );
    }
}
