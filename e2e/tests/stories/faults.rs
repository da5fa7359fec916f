//! A fault at each step of a start, and then nothing is left.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use banger_e2e::{Backend, Home, Image};
use rustix::process::{Pid, Signal, kill_process};

use crate::{Story, on_the_host};

pub(crate) const STORIES: &[Story] = &[
    on_the_host(
        "a_fault_at_each_step_of_a_create_leaves_nothing",
        a_fault_at_each_step,
    ),
    on_the_host("a_start_that_fails_can_be_tried_again", a_start_that_fails),
    on_the_host(
        "a_create_that_is_interrupted_leaves_nothing",
        an_interrupted_create,
    ),
    on_the_host("a_stop_ends_a_start_that_hangs", a_stop_ends_a_start),
    on_the_host(
        "a_daemon_killed_in_a_start_leaves_nothing",
        a_daemon_killed_in_a_start,
    ),
];

/// The variable by which the fake guest is told to fail.
const FAULT: &str = "BANGER_FAKE_FAULT";

fn create(home: &Home, name: &str) -> Result<banger_e2e::Output> {
    let args = [
        "vm", "create", "--name", name, "--image", "busybox", "--memory", "512M",
    ];
    home.banger(args.into_iter().chain(Backend::Fake.options()))
}

/// A home whose daemon, and so its guests, have the fault.
fn faulty(fault: &str) -> Result<Home> {
    let home = Home::new(&[Image::Busybox])?;
    home.banger(["daemon", "stop"])?.ok()?;
    Ok(home.with_env(FAULT, fault))
}

fn a_fault_at_each_step(_: Backend) -> Result<()> {
    for (fault, words) in [
        ("bad-hello", "speaks protocol"),
        ("exit-before-ready", "ended in stage"),
        ("configure-fails", "a fault that a test asked for"),
    ] {
        let home = faulty(fault)?;
        create(&home, "vm")?.exited(1)?.saying(words)?;
        settle(&home).with_context(|| fault)?;
        home.end()?;
    }
    // Before there is a machine: a kernel, an image, a VMM, a name.
    let home = Home::new(&[Image::Busybox])?;
    let fails = |args: &[&str], code| {
        home.banger(["vm", "create", "--vmm", "fake"].iter().chain(args))?
            .exited(code)
    };
    fails(&["--image", "no-such", "--kernel", "debian"], 3)?.saying("there is no image `no-such`")?;
    fails(&["--image", "busybox", "--kernel", "no-such"], 3)?.saying("there is no kernel `no-such`")?;
    fails(&["--image", "busybox", "--kernel", "debian", "--vcpu", "99"], 1)?.saying("use 1 to 32")?;
    fails(
        &["--image", "busybox", "--kernel", "debian", "--disk-size", "1M"],
        1,
    )?
    .saying("use 64M to 16T")?;
    create(&home, "vm")?.ok()?;
    create(&home, "vm")?.exited(4)?.saying("VM `vm` exists already")?;
    home.banger(["vm", "delete", "-f", "vm"])?.ok()?;
    settle(&home)?;
    home.end()
}

fn a_start_that_fails(_: Backend) -> Result<()> {
    let home = faulty("configure-fails")?;
    home.create(Backend::Fake, Image::Busybox, "vm", &["--no-start"])?;
    home.banger(["vm", "start", "vm"])?.exited(1)?;
    let vm = home.vm("vm")?;
    ensure!(
        vm.phase.to_string() == "failed" && vm.last_error.is_some(),
        "{vm:?}"
    );
    home.banger(["daemon", "stop"])?.ok()?;
    // Without the fault it starts, and the failure is forgotten.
    let home = home.with_env(FAULT, "");
    home.banger(["vm", "start", "vm"])?.ok()?;
    ensure!(home.vm("vm")?.last_error.is_none());
    home.end()
}

fn an_interrupted_create(_: Backend) -> Result<()> {
    let home = faulty("no-knock")?;
    for signal in [Signal::INT, Signal::KILL] {
        let mut child = start_create(&home)?;
        kill_process(Pid::from_child(&child), signal)?;
        child.wait()?;
        settle(&home)?;
    }
    home.end()
}

fn start_create(home: &Home) -> Result<std::process::Child> {
    let args = [
        "vm", "create", "--name", "vm", "--image", "busybox", "--memory", "512M",
    ];
    let child = home
        .command(args.into_iter().chain(Backend::Fake.options()))
        .stdin(Stdio::null())
        .spawn()?;
    // Until the machine of the guest that never knocks is there.
    for _ in 0..200 {
        if std::fs::read_dir(home.path().join("run/m")).is_ok_and(|dir| dir.count() > 0) {
            std::thread::sleep(Duration::from_millis(100));
            return Ok(child);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    anyhow::bail!("the create did not begin")
}

/// Nothing is left within five seconds: the daemon notices the end of a request, and what a killed machine has started
/// notices that.
fn settle(home: &Home) -> Result<()> {
    let mut left = Vec::new();
    for _ in 0..50 {
        left = home.leftovers()?;
        if left.is_empty() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    anyhow::bail!("left behind: {left:?}")
}

fn a_stop_ends_a_start(_: Backend) -> Result<()> {
    let home = faulty("no-knock")?;
    let child = start_create(&home)?;
    home.banger(["vm", "stop", "vm"])?;
    let output = child.wait_with_output()?;
    ensure!(output.status.code() == Some(130), "{:?}", output.status);
    settle(&home)?;
    home.end()
}

fn a_daemon_killed_in_a_start(_: Backend) -> Result<()> {
    let home = faulty("no-knock")?;
    let child = start_create(&home)?;
    home.kill_daemon()?;
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.code() == Some(1) && said.contains("went away"),
        "{said}"
    );
    // The next daemon takes the start back. The VM itself had its disks, and stays.
    home.banger(["vm", "delete", "vm"])?.ok()?;
    settle(&home)?;
    home.end()
}
