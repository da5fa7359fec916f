//! `banger doctor`: what this host has, what it lacks, and the one command that fixes each. Changes nothing.

mod check;
mod kvm;
mod network;
mod places;
mod vmms;

use banger_api::{Check, CheckStatus, DoctorReport, MachineProcess, Paths};
use banger_core::Vms;
use banger_hostnet::Network;
use banger_hostsys::programs;
use banger_vmm::firecracker::Firecracker;
use banger_vmm::probe::{self, Kvm};
use banger_vmm::qemu::Qemu;

use self::check::{failed, ok, warning};
use self::network::{check_names, check_network, check_way_out};
use self::places::{check_config, check_directories, check_images, check_kernels, check_space};
use self::vmms::{check_firecracker, check_qemu};

pub(crate) use self::check::text;

/// Examines the host.
pub(crate) fn examine(paths: &Paths, network: &Network) -> DoctorReport {
    if let Ok(config) = banger_settings::Config::load(paths) {
        banger_core::configure_programs(&config);
    }
    let kvm = probe::kvm();
    let firecracker = Firecracker::find();
    let qemu = Qemu::find(matches!(kvm, Kvm::Hardware));
    let (verdict, usable) = verdict(&kvm, firecracker.is_ok(), qemu.is_ok());
    let mut checks = vec![
        kvm::check(&kvm, qemu.is_ok()),
        check_firecracker(&firecracker, qemu.is_ok()),
        check_qemu(&qemu, firecracker.is_ok() && matches!(kvm, Kvm::Hardware)),
        check_agent(),
        check_git(),
        check_network(paths, network),
        check_config(paths),
    ];
    checks.extend(check_names(paths));
    checks.extend(check_directories(paths));
    checks.push(check_space(paths));
    checks.push(check_kernels(paths));
    checks.extend(check_way_out(paths, network));
    checks.push(check_images(paths));
    checks.push(check_daemon(paths));
    let usable = usable && !checks.iter().any(|check| check.status == CheckStatus::Failed);
    DoctorReport {
        verdict,
        usable,
        checks,
    }
}

/// Examines the host, and what a daemon knows beside that: how its machines are confined.
pub(crate) fn examine_with(vms: &Vms) -> DoctorReport {
    let context = vms.context();
    let mut report = examine(&context.paths, &context.network);
    let machines = vms.list().into_iter().filter_map(|handle| {
        let state = handle.state();
        Some((state.spec.name.to_string(), state.live?.processes()))
    });
    let processes: Vec<_> = machines.collect();
    report.checks.push(check_confinement(&processes));
    report
}

/// Which VMM `auto` picks.
fn verdict(kvm: &Kvm, firecracker: bool, qemu: bool) -> (String, bool) {
    let qemu_or_nothing = |why: String| {
        if qemu {
            (
                format!("VMs run under QEMU's emulation, which is slow: {why}"),
                true,
            )
        } else {
            (format!("no VM can run: {why}, and QEMU is not installed"), false)
        }
    };
    match kvm {
        Kvm::Hardware if firecracker => ("VMs run under Firecracker on KVM".to_owned(), true),
        Kvm::Hardware if qemu => (
            "VMs run under QEMU on KVM: Firecracker is not installed".to_owned(),
            true,
        ),
        Kvm::Hardware => (
            "no VM can run: neither Firecracker nor QEMU is installed".to_owned(),
            false,
        ),
        Kvm::Software(why) => qemu_or_nothing(format!(
            "KVM is emulated on this host and only boots special kernels ({why})"
        )),
        Kvm::Unusable(why) => qemu_or_nothing(format!("KVM does not work ({why})")),
    }
}

fn check_agent() -> Check {
    let path = programs::agent();
    if path.is_file() {
        ok("agent", format!("the guest agent is {}", path.display()))
    } else {
        failed(
            "agent",
            format!("the guest agent is not at {}", path.display()),
            "make build",
        )
    }
}

fn check_git() -> Check {
    match std::process::Command::new("git").arg("--version").output() {
        Ok(output) if output.status.success() => ok("git", String::from_utf8_lossy(&output.stdout).trim()),
        _ => warning(
            "git",
            "git does not run, so repositories cannot be placed in VMs",
            "sudo apt-get install git",
        ),
    }
}

fn check_daemon(paths: &Paths) -> Check {
    match std::os::unix::net::UnixStream::connect(paths.socket()) {
        Ok(_) => ok("daemon", format!("answers at {}", paths.socket().display())),
        Err(_) => ok("daemon", "is not running; `banger` starts the daemon when needed"),
    }
}

/// Whether the machines that run are confined as banger confines them, as the kernel has it.
fn check_confinement(machines: &[(String, Vec<MachineProcess>)]) -> Check {
    let weak: Vec<String> = machines
        .iter()
        .flat_map(|(name, processes)| {
            processes
                .iter()
                .filter(|process| is_weak(process))
                .map(move |process| format!("{name}: {} {}", process.program, process.weaknesses.join(", ")))
        })
        .collect();
    let names = machines
        .iter()
        .filter(|(_, processes)| processes.iter().any(is_weak))
        .map(|(name, _)| name.as_str());
    match weak.is_empty() {
        true => ok(
            "confinement",
            format!("the processes of {} VMs are confined as expected", machines.len()),
        ),
        false => warning(
            "confinement",
            weak.join("; "),
            format!(
                "banger vm restart {}  # restarts the VMM with its filter",
                names.collect::<Vec<_>>().join(" ")
            ),
        ),
    }
}

/// Filters of system calls are the VMMs' own; what serves them has none yet.
fn is_weak(process: &MachineProcess) -> bool {
    let is_vmm = process.program == "firecracker" || process.program.starts_with("qemu-system");
    !process.no_new_privs || (is_vmm && process.seccomp == "off")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_never_falls_back_without_a_reason() {
        let emulated = Kvm::Software("no vmx".to_owned());
        let (text, usable) = verdict(&emulated, true, true);
        assert!(
            usable && text.contains("emulation") && text.contains("no vmx"),
            "{text}"
        );
        let (text, usable) = verdict(&Kvm::Unusable("no /dev/kvm".to_owned()), true, false);
        assert!(!usable && text.contains("no /dev/kvm"), "{text}");
        assert!(verdict(&Kvm::Hardware, true, false).1);
    }

    #[test]
    fn a_look_at_a_new_host_changes_nothing() {
        let home = tempfile::tempdir().unwrap();
        let paths = Paths::below(home.path());
        let report = examine(&paths, &Network::of_env(&paths));
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
        let fixable = report
            .checks
            .iter()
            .filter(|check| check.status != CheckStatus::Ok);
        assert!(fixable.clone().count() > 0 && fixable.clone().all(|check| check.fix.is_some()));
    }
}
