//! What an ordinary user does on the first days, and what is said then.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use banger_e2e::{Backend, Home, Image, Output, committed};
use banger_model::Phase;
use rustix::process::{Pid, Signal, kill_process};

use crate::{Scenario, on_the_host};

pub(crate) const SCENARIOS: &[Scenario] = &[
    on_the_host(
        "an_interrupted_import_of_a_kernel_leaves_none",
        interrupted_import,
    ),
    on_the_host("what_was_read_of_a_pipe_leaves_no_file", half_an_archive),
    on_the_host("a_vm_fits_the_host_or_is_refused", sizes),
    on_the_host("a_second_run_of_a_repository_says_so", second_run),
    on_the_host("a_change_that_needs_a_stop_can_restart", changes),
];

fn interrupted_import(_: Backend) -> Result<()> {
    let dir = tempfile::tempdir()?;
    // A package manager that takes its time, and starts another program as apt does.
    let began = dir.path().join("began");
    let script = format!(
        "#!/bin/sh\nsleep 271828 &\necho $! > {0}.new\nmv {0}.new {0}\nwait\n",
        began.display()
    );
    for name in ["apt-get", "apt-cache"] {
        let program = dir.path().join(name);
        std::fs::write(&program, &script)?;
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755))?;
    }
    let path = std::env::var("PATH").unwrap_or_default();
    let home = Home::bare()?.with_env("PATH", &format!("{}:{path}", dir.path().display()));
    for signal in [Signal::INT, Signal::TERM, Signal::HUP, Signal::KILL] {
        let _ = std::fs::remove_file(&began);
        let mut import = home
            .command(["kernel", "import", "new", "--package", "linux-image-x"])
            .spawn()?;
        within("the package manager is run", || began.exists())?;
        let slow: i32 = std::fs::read_to_string(&began)?.trim().parse()?;
        kill_process(Pid::from_child(&import), signal)?;
        ensure!(!import.wait()?.success(), "{signal:?}: it succeeded");
        let is_alive = || std::path::Path::new(&format!("/proc/{slow}/cmdline")).exists();
        within("what the package manager started ends", || !is_alive())?;
        let kernels = home.banger(["kernel", "list", "--json"])?.ok()?.text();
        ensure!(kernels == "[]", "{signal:?}: {kernels}");
        let tmp = home.path().join("data/kernels/tmp");
        let left = std::fs::read_dir(&tmp).map_or(0, Iterator::count);
        ensure!(
            left == 0,
            "{signal:?}: {left} files are left in {}",
            tmp.display()
        );
    }
    home.end()
}

/// Whether this process ignores a signal, as its children then do: those of `nohup`, and of a shell's `&` without job control.
fn is_ignored(signal: Signal) -> Result<bool> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = u64::from_str_radix(mask.context("the signals that are ignored")?.trim(), 16)?;
    Ok(mask >> (signal.as_raw() - 1) & 1 == 1)
}

fn half_an_archive(_: Backend) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let home = Home::bare()?.with_env("TMPDIR", dir.path().to_str().context("a path")?);
    home.banger(["image", "list"])?.ok()?;
    for signal in [Signal::INT, Signal::TERM, Signal::HUP, Signal::KILL] {
        if is_ignored(signal)? {
            continue;
        }
        let mut pull = home
            .command(["image", "pull", "--name", "half", "-"])
            .stdin(Stdio::piped())
            .spawn()?;
        let mut stdin = pull.stdin.take().context("a pipe")?;
        // More than a pipe holds: it is being read.
        stdin.write_all(&vec![7; 1 << 20])?;
        kill_process(Pid::from_child(&pull), signal)?;
        ensure!(!pull.wait()?.success(), "{signal:?}: it succeeded");
        let left: Vec<_> = std::fs::read_dir(dir.path())?
            .flatten()
            .map(|entry| entry.path())
            .collect();
        ensure!(left.is_empty(), "{signal:?}: {left:?}");
    }
    home.end()
}

fn within(what: &str, is_so: impl Fn() -> bool) -> Result<()> {
    let until = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        ensure!(Instant::now() < until, "not within 30 s: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn sizes(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    let create = |name: &str, more: &[&str]| {
        let args = ["vm", "create", "--name", name, "--image", "busybox", "--no-start"];
        home.banger(
            args.iter()
                .copied()
                .chain(backend.options())
                .chain(more.iter().copied()),
        )
    };
    for memory in ["900G", "1T", "1000G"] {
        create("large", &["--memory", memory])?
            .failed()?
            .saying("this host has")?
            .saying("hint: ")?;
    }
    create("fits", &["--memory", "512M"])?.ok()?;
    home.banger(["vm", "set", "fits", "--memory", "900G"])?
        .failed()?
        .saying("this host has")?;
    let cpus = std::thread::available_parallelism()?.get();
    if cpus < 32 {
        create("many", &["--memory", "512M", "--vcpu", "32"])?
            .ok()?
            .saying(&format!("32 vCPUs share the {cpus} CPUs of this host"))?;
        home.banger(["vm", "set", "fits", "--vcpu", "32"])?.ok()?;
        home.banger(["vm", "start", "fits"])?
            .ok()?
            .saying(&format!("32 vCPUs share the {cpus} CPUs of this host"))?;
    }
    for name in ["fits", "many"] {
        home.banger(["vm", "delete", "-f", name])?;
    }
    home.end()
}

fn second_run(_: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    let (one, other) = (committed(&[("a", "1\n")])?, committed(&[("a", "1\n")])?);
    std::fs::create_dir(one.path().join("sub"))?;
    let run = |at: &std::path::Path, name: &str, more: &[&str]| -> Result<Output> {
        let args = [
            "vm", "run", "--vmm", "fake", "--image", "busybox", "--kernel", "debian", "--memory", "512M",
            "--name", name,
        ];
        let mut command = home.command(args.iter().chain(more));
        command.current_dir(at);
        home.finish(command, Vec::new())?.ok()
    };
    let says = |output: &Output| output.stderr.contains("already has this repository");
    ensure!(!says(&run(one.path(), "first", &["-d"])?), "there is none");
    let second = run(&one.path().join("sub"), "second", &["-d"])?;
    ensure!(
        second
            .stderr
            .contains("note: VM first already has this repository and is running: open a shell with `banger vm shell first`"),
        "{}",
        second.stderr
    );
    ensure!(
        !says(&run(other.path(), "apart", &["-d"])?),
        "it is another repository"
    );
    home.banger(["vm", "delete", "-f", "second"])?.ok()?;
    let reuse = |more: &[&str]| -> Result<Output> {
        let mut command = home.command(["vm", "run", "--reuse"].iter().chain(more));
        command.current_dir(one.path().join("sub"));
        home.finish(command, Vec::new())
    };
    // In the checkout as it was left.
    reuse(&["--", "touch", "left"])?.ok()?.saying("using VM first")?;
    let listed = reuse(&["--", "ls"])?.ok()?.text();
    ensure!(listed.contains("left"), "{listed}");
    home.banger(["vm", "stop", "first"])?.ok()?;
    let third = run(one.path(), "third", &["--rm", "--", "true"])?;
    ensure!(
        third
            .stderr
            .contains("VM first already has this repository and is stopped: open a shell with `banger vm start first && "),
        "{}",
        third.stderr
    );
    // It is stopped, and only one.
    let again = reuse(&["-d"])?.ok()?.saying("using VM first")?.text();
    ensure!(
        again == "first" && home.vm("first")?.phase == Phase::Running,
        "{again}"
    );
    reuse(&["--rm", "--", "true"])?.exited(2)?;
    // What only a new VM can follow is not dropped.
    for more in [
        &["--memory", "1G"][..],
        &["-e", "A=b"],
        &["--branch", "fix"],
        &["--trust"],
        &["--net", "nat"],
    ] {
        reuse(&[more, &["--", "true"]].concat())?
            .exited(2)?
            .saying("`banger vm set first`")?;
    }
    run(one.path(), "fourth", &["-d"])?;
    reuse(&["--", "true"])?
        .exited(2)?
        .saying("more than one VM has this repository: first, fourth")?;
    for name in ["first", "fourth", "apart"] {
        home.banger(["vm", "delete", "-f", name])?.ok()?;
    }
    // Without one, one is made.
    let shaped = ["--vmm", "fake", "--image", "busybox", "--kernel", "debian", "-d"];
    let made = reuse(&shaped)?.ok()?.text();
    home.banger(["vm", "delete", "-f", made.trim()])?.ok()?;
    home.end()
}

fn changes(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "web", &[])?;
    home.banger(["vm", "set", "web", "--memory", "640M"])?
        .failed()?
        .saying("`banger vm stop web`")?
        .saying("--restart")?;
    let pid = || -> Result<i32> { Ok(home.vm("web")?.machine.map_or(0, |machine| machine.pid)) };
    let before = pid()?;
    home.banger(["vm", "set", "web", "--label", "team=core", "--restart"])?
        .ok()?;
    ensure!(pid()? == before, "a label needs no restart");
    home.banger(["vm", "set", "web", "--memory", "640M", "--restart"])?
        .ok()?;
    let vm = home.vm("web")?;
    ensure!(
        vm.memory.as_mib() == 640 && pid()? != before && pid()? != 0,
        "{vm:?}"
    );
    // What is not taken leaves a VM that runs.
    home.banger(["vm", "set", "web", "--disk-size", "65M", "--restart"])?
        .failed()?
        .saying("cannot shrink")?;
    ensure!(pid()? != 0, "it runs again");
    home.banger(["vm", "stop", "web"])?.ok()?;
    home.banger(["vm", "set", "web", "--memory", "512M", "--restart"])?
        .ok()?;
    ensure!(pid()? == 0, "what was stopped stays so");
    home.banger(["vm", "start", "web"])?.ok()?;
    let again = home.banger(["vm", "start", "web"])?.ok()?;
    ensure!(
        again.stderr.contains("VM web is already running"),
        "{}",
        again.stderr
    );
    home.end()
}
