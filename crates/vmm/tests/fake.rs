//! A fake machine's life, with a shell script for a guest.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use banger_model::{ByteSize, Describe, VmId};
use banger_vmm::fake::Fake;
use banger_vmm::{Backend, Ended, KernelFiles, LaunchSpec, Machine, ProcessId};

fn guest(dir: &Path, script: &str) -> PathBuf {
    let path = dir.join("guest");
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn spec(dir: &Path) -> LaunchSpec {
    let machine = dir.join("m");
    std::fs::create_dir(&machine).unwrap();
    LaunchSpec {
        id: VmId::from_bytes([1; 8]),
        dir: machine,
        kernel: KernelFiles {
            vmlinux: PathBuf::new(),
            has_pvh: false,
            vmlinuz: None,
        },
        initrd: PathBuf::new(),
        boot_args: Vec::new(),
        vcpus: 1,
        memory: ByteSize::mib(128),
        disks: Vec::new(),
        network: None,
        locks: Vec::new(),
        console_sink: PathBuf::new(),
    }
}

async fn ended(machine: &dyn Machine) -> Ended {
    let mut exited = machine.exited();
    exited.wait_for(Option::is_some).await.unwrap().clone().unwrap()
}

#[tokio::test]
async fn a_guest_that_ends_by_itself_ended_cleanly() {
    let dir = tempfile::tempdir().unwrap();
    let backend = Fake::new(guest(dir.path(), "touch vsock.sock; sleep 0.1"));
    let machine = backend.launch(&spec(dir.path())).await.unwrap();
    assert_eq!(ended(&*machine).await, Ended::Clean);
    machine.kill().await.unwrap();
    assert!(!dir.path().join("m/vsock.sock").exists());
}

#[tokio::test]
async fn a_guest_that_fails_is_told_with_its_words() {
    let dir = tempfile::tempdir().unwrap();
    let backend = Fake::new(guest(
        dir.path(),
        "touch vsock.sock; sleep 0.1; echo no disk >&2; exit 3",
    ));
    let machine = backend.launch(&spec(dir.path())).await.unwrap();
    let how = ended(&*machine).await;
    assert_eq!(
        how,
        Ended::Failed {
            code: Some(3),
            words: "no disk".to_owned()
        }
    );
}

#[tokio::test]
async fn a_guest_that_dies_at_its_start_leaves_an_error_with_its_words() {
    let dir = tempfile::tempdir().unwrap();
    let backend = Fake::new(guest(dir.path(), "echo bad idea >&2; exit 1"));
    let error = backend.launch(&spec(dir.path())).await.unwrap_err();
    assert_eq!(error.describe().log.as_deref(), Some("bad idea"));
}

#[tokio::test]
async fn a_killed_machine_leaves_no_process_and_no_socket() {
    let dir = tempfile::tempdir().unwrap();
    let backend = Fake::new(guest(dir.path(), "touch vsock.sock; exec sleep 60"));
    let machine = backend.launch(&spec(dir.path())).await.unwrap();
    let process = machine.record().process;
    assert!(process.is_alive());
    machine.kill().await.unwrap();
    assert_eq!(ended(&*machine).await, Ended::Killed);
    assert!(!process.is_alive() && !dir.path().join("m/vsock.sock").exists());
    machine.kill().await.unwrap();
}

#[tokio::test]
async fn a_launch_that_is_dropped_midway_leaves_no_process() {
    let dir = tempfile::tempdir().unwrap();
    let backend = Fake::new(guest(dir.path(), "echo $$ > pid; exec sleep 60"));
    let spec = spec(dir.path());
    let launch = backend.launch(&spec);
    let cut_short = tokio::time::timeout(std::time::Duration::from_millis(300), launch).await;
    assert!(cut_short.is_err());
    let pid = std::fs::read_to_string(dir.path().join("m/pid"))
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    assert!(!ProcessId::of(pid).is_ok_and(|process| process.is_alive()));
}

#[tokio::test]
async fn another_daemon_adopts_what_runs_and_clears_what_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let backend = Fake::new(guest(dir.path(), "touch vsock.sock; exec sleep 60"));
    let machine = backend.launch(&spec(dir.path())).await.unwrap();
    let record = machine.record().clone();
    drop(machine);
    let adopted = backend.adopt(&record).await.unwrap().unwrap();
    adopted.kill().await.unwrap();
    std::fs::write(dir.path().join("m/vsock.sock"), "").unwrap();
    assert!(backend.adopt(&record).await.unwrap().is_none());
    assert!(!dir.path().join("m/vsock.sock").exists());
}
