//! A fault at each step of a start, and then nothing is left.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use banger_e2e::{Backend, Home, Image};
use rustix::process::{Pid, Signal, kill_process};

use crate::{Scenario, on_the_host};

pub(crate) const SCENARIOS: &[Scenario] = &[
    on_the_host(
        "a_fault_at_each_step_of_a_create_leaves_nothing",
        a_fault_at_each_step,
    ),
    on_the_host(
        "a_fault_of_the_host_at_each_step_leaves_nothing",
        faults_of_the_host,
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
        ("bad-hello", "uses protocol"),
        ("exit-before-ready", "ended unexpectedly in stage"),
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
    fails(&["--image", "busybox", "--kernel", "debian", "--vcpu", "99"], 1)?.saying("expected 1 to 32")?;
    fails(
        &["--image", "busybox", "--kernel", "debian", "--disk-size", "1M"],
        1,
    )?
    .saying("expected 64M to 16T")?;
    create(&home, "vm")?.ok()?;
    create(&home, "vm")?.exited(4)?.saying("VM `vm` already exists")?;
    home.banger(["vm", "delete", "-f", "vm"])?.ok()?;
    settle(&home)?;
    home.end()
}

/// A step of a create, what is wrong with the host there, and what the create says of it.
struct Fault {
    step: &'static str,
    /// Breaks the home, and returns what repairs it.
    break_it: fn(&Home) -> Result<Repair>,
    words: &'static str,
}

type Repair = Box<dyn FnOnce() -> Result<()>>;

const FAULTS: [Fault; 5] = [
    Fault {
        step: "disks: no directory can be made for a VM",
        break_it: |home| in_the_way(&home.path().join("state/vms")),
        words: "state/vms",
    },
    Fault {
        step: "launch: no directory can be made for a machine",
        break_it: |home| in_the_way(&home.path().join("run/m")),
        words: "run/m",
    },
    Fault {
        step: "launch: the VMM is no program",
        break_it: |home| replaced(home, "not a program"),
        words: "banger-fake-guest",
    },
    Fault {
        step: "launch: the VMM ends at once",
        break_it: |home| replaced(home, "#!/bin/sh\necho out of luck >&2\nexit 3\n"),
        words: "exited during startup",
    },
    Fault {
        step: "ports: another program has the port of the host",
        break_it: |_| {
            let listener = std::net::TcpListener::bind(("127.0.0.1", TAKEN))?;
            Ok(Box::new(move || {
                drop(listener);
                Ok(())
            }))
        },
        words: "is already in use",
    },
];

/// A port that nothing else of the scenarios has.
const TAKEN: u16 = 61_777;

/// Puts a file where a directory is to be.
fn in_the_way(path: &Path) -> Result<Repair> {
    let path = path.to_owned();
    if path.is_dir() {
        std::fs::remove_dir(&path)?;
    }
    std::fs::create_dir_all(path.parent().context("a parent")?)?;
    std::fs::write(&path, "in the way")?;
    Ok(Box::new(move || Ok(std::fs::remove_file(path)?)))
}

fn moved_away(path: &Path) -> Result<Repair> {
    let (path, away) = (path.to_owned(), path.with_extension("away"));
    std::fs::rename(&path, &away)?;
    Ok(Box::new(move || Ok(std::fs::rename(away, path)?)))
}

/// Gives the program that a fake machine is another content.
fn replaced(home: &Home, content: &str) -> Result<Repair> {
    let program = home.programs().join(Backend::FAKE_PROGRAM);
    let repair = moved_away(&program)?;
    std::fs::write(&program, content)?;
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755))?;
    Ok(repair)
}

fn faults_of_the_host(_: Backend) -> Result<()> {
    // Programs and stores of its own, to be broken.
    let dir = tempfile::tempdir()?;
    let first = Home::new(&[Image::Busybox])?;
    for name in ["banger", "bangerd", Backend::FAKE_PROGRAM, "banger-vsock-agent"] {
        std::fs::copy(first.programs().join(name), dir.path().join(name))?;
    }
    let home = first.with_programs(dir.path());
    home.own_stores()?;
    for fault in FAULTS {
        let publish = format!("{TAKEN}:80");
        let args = [
            "vm", "create", "--name", "vm", "--image", "busybox", "-p", &publish,
        ];
        let args: Vec<_> = args.into_iter().chain(Backend::Fake.options()).collect();
        let repair = (fault.break_it)(&home).context(fault.step)?;
        home.banger(&args)?
            .failed()?
            .saying(fault.words)
            .context(fault.step)?;
        settle(&home).context(fault.step)?;
        repair().context(fault.step)?;
        // Nothing of the fault stays, either.
        home.banger(&args)?.ok().context(fault.step)?;
        home.exec("vm", &["true"])?.ok().context(fault.step)?;
        home.banger(["vm", "delete", "-f", "vm"])?.ok()?;
        settle(&home).context(fault.step)?;
    }
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
    let home = faulty("no-hello")?;
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
    // Until the machine of the guest that never sends a hello is there.
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
    let home = faulty("no-hello")?;
    let child = start_create(&home)?;
    home.banger(["vm", "stop", "vm"])?.ok()?;
    let output = child.wait_with_output()?;
    ensure!(output.status.code() == Some(130), "{:?}", output.status);
    settle(&home)?;
    home.end()
}

fn a_daemon_killed_in_a_start(_: Backend) -> Result<()> {
    let home = faulty("no-hello")?;
    let child = start_create(&home)?;
    home.kill_daemon()?;
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.code() == Some(1) && said.contains("before the operation finished"),
        "{said}"
    );
    // The next daemon takes the start back. The VM itself had its disks, and stays.
    home.banger(["vm", "delete", "vm"])?.ok()?;
    settle(&home)?;
    home.end()
}
