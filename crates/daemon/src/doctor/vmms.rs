//! The VMMs of this host: which there are, and in which versions.

use std::path::Path;

use banger_api::{Check, CheckStatus};
use banger_model::{Describe, chain};
use banger_vmm::firecracker::Firecracker;
use banger_vmm::qemu::Qemu;

use super::check::{failed, ok, warning};

pub(super) fn check_firecracker(found: &Result<Firecracker, banger_vmm::Error>, fallback: bool) -> Check {
    match found {
        Ok(found) if !found.has_seccomp() => warning(
            "firecracker",
            format!(
                "{}, without its seccomp filter: a guest that escapes has all of your permissions",
                version_of(found.program())
            ),
            "unset BANGER_FIRECRACKER_NO_SECCOMP && banger daemon stop  # then restart the VMs",
        ),
        Ok(found) => ok("firecracker", version_of(found.program())),
        Err(error) if fallback => warning(
            "firecracker",
            chain(error),
            "install Firecracker 1.16.1 or later on PATH",
        ),
        Err(error) => failed(
            "firecracker",
            chain(error),
            "install Firecracker 1.16.1 or later on PATH",
        ),
    }
}

pub(super) fn check_qemu(found: &Result<Qemu, banger_vmm::Error>, needless: bool) -> Check {
    match found {
        Ok(found) => ok(
            "qemu",
            format!("{}, with its vsock device", version_of(found.program())),
        ),
        Err(error) => {
            let fix = error.describe().hints.into_iter().next();
            let status = if needless {
                CheckStatus::Ok
            } else {
                CheckStatus::Warning
            };
            Check {
                name: "qemu".to_owned(),
                status,
                message: format!("{}, which is only the fallback", chain(error)),
                fix,
            }
        }
    }
}

/// What a program says of its version, in its first line.
fn version_of(program: &Path) -> String {
    let said = std::process::Command::new(program).arg("--version").output();
    let said = said
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default();
    match said.lines().next() {
        Some(line) => format!("{line} at {}", program.display()),
        None => format!("{} does not report its version", program.display()),
    }
}
