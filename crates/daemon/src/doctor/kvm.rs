//! Whether KVM runs VMs here, and what helps where it does not.

use std::os::unix::fs::MetadataExt;

use banger_api::{Check, CheckStatus};
use banger_vmm::probe::Kvm;

use super::{ok, warning};

pub(super) fn check(kvm: &Kvm, fallback: bool) -> Check {
    match kvm {
        Kvm::Hardware => ok("kvm", "a virtual CPU ran on the hardware"),
        Kvm::Software(why) => warning(
            "kvm",
            format!("a virtual CPU ran, but not on hardware: {why}"),
            "banger vm create --vmm firecracker  # tests whether your kernel boots anyway",
        ),
        Kvm::Unusable(why) => {
            let device = std::fs::metadata("/dev/kvm").ok();
            let device = device.map(|device| (device.mode(), device.gid()));
            let access = rustix::fs::Access::READ_OK | rustix::fs::Access::WRITE_OK;
            let is_ours = rustix::fs::access("/dev/kvm", access).is_ok();
            let groups = std::fs::read_to_string("/etc/group").unwrap_or_default();
            let mut check = warning("kvm", why.clone(), fix_of_kvm(device, is_ours, &groups));
            if !fallback {
                check.status = CheckStatus::Failed;
            }
            check
        }
    }
}

/// What makes KVM usable: its device has this mode and group, if it is there.
fn fix_of_kvm(device: Option<(u32, u32)>, is_ours: bool, groups: &str) -> String {
    const BOTH: u32 = 0o060;
    let Some((mode, gid)) = device else {
        return "sudo modprobe kvm_intel || sudo modprobe kvm_amd".to_owned();
    };
    if is_ours {
        return "sudo dmesg | grep -i kvm  # shows why".to_owned();
    }
    let group = groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let number = fields.nth(1)?.parse().ok();
        (number == Some(gid)).then_some(name)
    });
    match group.filter(|_| gid != 0 && mode & BOTH == BOTH) {
        Some(group) => {
            format!("sudo usermod -aG {group} $USER  # then log in again and run `banger daemon stop`")
        }
        // A container or a host without udev has the device and no group for it.
        None => "sudo chown $USER /dev/kvm  # until this host restarts".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fix_for_kvm_is_one_that_works_here() {
        let groups = "root:x:0:\nkvm:x:104:me\nvirt:x:990:\n";
        for (device, is_ours, fix) in [
            (None, false, "sudo modprobe kvm_intel"),
            (Some((0o20660, 104)), false, "sudo usermod -aG kvm $USER"),
            (Some((0o20660, 990)), false, "sudo usermod -aG virt $USER"),
            // No such group, root's own group, a group that may not.
            (Some((0o20660, 36)), false, "sudo chown $USER /dev/kvm"),
            (Some((0o20660, 0)), false, "sudo chown $USER /dev/kvm"),
            (Some((0o20600, 104)), false, "sudo chown $USER /dev/kvm"),
            (Some((0o20666, 104)), true, "sudo dmesg"),
        ] {
            let shown = fix_of_kvm(device, is_ours, groups);
            assert!(shown.starts_with(fix), "{device:?}: {shown}");
        }
    }
}
