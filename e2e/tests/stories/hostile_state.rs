//! Who may have the state: one daemon, whatever it is called; the machines of this state, and not of a copy of it.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use banger_cases::refused;
use banger_e2e::{Backend, Home, Image, Output, committed, git, short_dir};
use rustix::fs::{FlockOperation, flock};

use crate::{Scenario, everywhere, on_the_host};

pub(crate) const SCENARIOS: &[Scenario] = &[
    on_the_host("one_daemon_whatever_the_environment", one_daemon),
    on_the_host("a_copied_state_lets_the_original_be", a_copied_state),
    on_the_host("a_disk_that_a_machine_has_is_let_alone", a_disk_in_use),
    on_the_host("ending_vms_needs_no_configuration", a_broken_configuration),
    everywhere("machines_have_nothing_of_their_starter", nothing_of_the_starter),
];

/// `banger` in an environment that is only what is given.
fn bare(home: &Home, args: &[&str], env: &[(&str, &Path)]) -> Result<Output> {
    let mut command = Command::new(home.programs().join("banger"));
    command
        .args(args)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .envs(env.iter().copied())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    home.finish(command, Vec::new())
}

fn pid(home: &Home, env: &[(&str, &Path)]) -> Result<u32> {
    bare(home, &["vm", "list"], env)?.ok()?;
    let status = bare(home, &["daemon", "status", "--json"], env)?.ok()?;
    let status: banger_api::Version = serde_json::from_slice(&status.stdout)?;
    Ok(status.pid)
}

fn one_daemon(_: Backend) -> Result<()> {
    let home = Home::bare()?;
    let user = home.user_dir();
    let session = home.path().join("session");
    let other = home.path().join("other");
    let linked = home.path().join("linked");
    for dir in [&session, &other] {
        std::fs::create_dir(dir)?;
    }
    std::os::unix::fs::symlink(&user, &linked)?;
    let login: &[(&str, &Path)] = &[("HOME", &user), ("XDG_RUNTIME_DIR", &session)];
    let first = pid(&home, login)?;
    let dotted = user.join("../user");
    let cases: [(&str, Vec<(&str, &Path)>); 5] = [
        ("without-runtime-dir", vec![("HOME", &user)]),
        (
            "other-runtime-dir",
            vec![("HOME", &user), ("XDG_RUNTIME_DIR", &other)],
        ),
        ("home-by-a-link", vec![("HOME", &linked)]),
        ("home-with-dots", vec![("HOME", &dotted)]),
        ("other-working-directory", vec![("HOME", &user), ("PWD", &other)]),
    ];
    for (name, env) in &cases {
        ensure!(pid(&home, env)? == first, "{name}: another daemon");
        refused("state", &format!("two-daemons.{name}"));
    }
    // A logout takes the runtime directory, and nothing else.
    std::fs::remove_dir_all(&session)?;
    ensure!(pid(&home, login)? == first, "another daemon after a logout");
    refused("state", "two-daemons.after-a-logout");
    // And the programs themselves, started side by side.
    let second = Command::new(home.programs().join("bangerd"))
        .env_clear()
        .env("HOME", &linked)
        .env("XDG_RUNTIME_DIR", &other)
        .stderr(Stdio::piped())
        .output()?;
    ensure!(
        second.status.code() == Some(banger_api::ANOTHER_RUNS.into()),
        "a second daemon: {}",
        String::from_utf8_lossy(&second.stderr)
    );
    refused("state", "two-daemons.by-hand");
    closed_to_others(&user)?;
    bare(&home, &["daemon", "stop"], login)?.ok()?;
    home.end()
}

/// Sockets, and the directories that they are in, are the user's alone.
fn closed_to_others(dir: &Path) -> Result<()> {
    let state = dir.join(".local/state/banger");
    for path in [state.clone(), state.join("run")] {
        let mode = std::fs::metadata(&path)?.permissions().mode() & 0o777;
        ensure!(mode == 0o700, "{} has mode {mode:o}", path.display());
    }
    let socket = std::fs::metadata(state.join("run/bangerd.sock"))?
        .permissions()
        .mode();
    ensure!(socket & 0o077 == 0, "the socket has mode {socket:o}");
    refused("state", "socket.another-user");
    Ok(())
}

fn is_alive(pid: i32) -> bool {
    Path::new("/proc")
        .join(pid.to_string())
        .join("exe")
        .read_link()
        .is_ok()
}

fn a_copied_state(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "vm", &[])?;
    let machine = home.vm("vm")?.machine.context("a machine")?;
    let copy = short_dir("bg-")?;
    let there = copy.path().join("h");
    // What goes away meanwhile is no matter.
    Command::new("cp")
        .arg("-a")
        .arg(home.path())
        .arg(&there)
        .stderr(Stdio::null())
        .status()?;
    let env: &[(&str, &Path)] = &[("BANGER_HOME", &there), ("HOME", &there)];
    let in_copy = |args: &[&str]| bare(&home, args, env);
    let shown = in_copy(&["vm", "show", "--json", "vm"])?.ok()?;
    let vm: banger_api::Vm = serde_json::from_slice(&shown.stdout)?;
    ensure!(
        vm.phase.to_string() == "stopped",
        "the copy says that it is {}",
        vm.phase
    );
    refused("state", "copy.adopts-the-machine");
    in_copy(&["vm", "exec", "vm", "--", "true"])?.exited(125)?;
    refused("state", "copy.commands-in-the-machine");
    in_copy(&["vm", "stop", "vm"])?.ok()?;
    in_copy(&["vm", "delete", "-f", "vm"])?.ok()?;
    in_copy(&["daemon", "stop"])?.ok()?;
    ensure!(is_alive(machine.pid), "the copy ended the machine");
    refused("state", "copy.ends-the-machine");
    home.exec("vm", &["true"])?.ok()?;
    // And the daemon of the original finds what is its own.
    home.kill_daemon()?;
    home.exec("vm", &["true"])?.ok()?;
    home.end()
}

fn a_disk_in_use(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "vm", &["--no-start"])?;
    let id = home.vm("vm")?.id;
    let disk = home.path().join("state/vms").join(id).join("disk.ext4");
    // As the machine of a banger in a container that shares these files has it.
    let held = std::fs::File::open(&disk)?;
    flock(&held, FlockOperation::LockExclusive)?;
    for (name, args) in [
        ("started", &["vm", "start", "vm"][..]),
        ("grown", &["vm", "set", "vm", "--disk-size", "16G"]),
        ("deleted", &["vm", "delete", "vm"]),
        ("deleted-by-force", &["vm", "delete", "-f", "vm"]),
    ] {
        home.banger(args)?
            .exited(4)?
            .saying("in use by another VMM process")?;
        refused("state", &format!("disk-in-use.{name}"));
    }
    ensure!(disk.exists(), "the disk is gone");
    drop(held);
    home.banger(["vm", "start", "vm"])?.ok()?;
    // And a machine holds its own.
    let held = std::fs::File::open(&disk)?;
    ensure!(
        flock(&held, FlockOperation::NonBlockingLockExclusive).is_err(),
        "a running machine does not hold its disk"
    );
    refused("state", "disk-in-use.locked-by-another");
    drop(held);
    home.banger(["vm", "kill", "vm"])?.ok()?;
    home.banger(["vm", "delete", "vm"])?.ok()?;
    home.end()
}

fn a_broken_configuration(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    for name in ["a", "b", "c"] {
        home.create(backend, Image::Busybox, name, &[])?;
    }
    let repository = committed(&[("file", "1\n")])?;
    let at = repository.path().to_str().context("a path")?;
    home.banger(["vm", "workspace", "prepare", "b", at])?.ok()?;
    home.exec("b", &["sh", "-c", "echo work > repo/made"])?.ok()?;
    std::fs::create_dir_all(home.path().join("config"))?;
    std::fs::write(home.path().join("config/config.toml"), "vmm = fierycracker\n[")?;
    // With the daemon of before, and with one that starts with it.
    home.banger(["vm", "stop", "a"])?.ok()?;
    home.banger(["daemon", "stop"])?.ok()?;
    home.banger(["vm", "list"])?.ok()?;
    home.banger(["vm", "show", "b"])?.ok()?;
    home.exec("b", &["true"])?.ok()?;
    home.banger(["vm", "set", "b", "--net", "off"])?.ok()?;
    home.banger(["vm", "workspace", "status", "b"])?.ok()?;
    home.banger(["vm", "workspace", "pull", "b"])?.ok()?;
    ensure!(
        git(repository.path(), &["show", "refs/banger/b/work:made"])? == "work",
        "no work came back"
    );
    home.banger(["vm", "workspace", "prepare", "b", at])?
        .failed()?
        .saying("config.toml")?;
    home.banger(["vm", "stop", "b"])?.ok()?;
    home.banger(["vm", "kill", "c"])?.ok()?;
    home.banger(["vm", "delete", "a", "b"])?.ok()?;
    home.banger(["vm", "start", "c"])?
        .exited(5)?
        .saying("config.toml")?;
    home.banger(["vm", "delete", "-f", "c"])?.ok()?;
    home.end()
}

/// Which file each descriptor of a process is.
fn open_files(pid: i32) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd"))?.flatten();
    Ok(entries
        .filter_map(|entry| entry.path().read_link().ok())
        .collect())
}

fn nothing_of_the_starter(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.banger(["daemon", "stop"])?.ok()?;
    let secret = home.path().join("secret");
    std::fs::write(&secret, "a caller's")?;
    let banger = home.programs().join("banger");
    let args = [
        &[
            "vm", "create", "--name", "vm", "--image", "busybox", "--memory", "512M",
        ][..],
        &backend.options(),
    ]
    .concat();
    // A daemon and a machine that are started by a shell which has files open, as shells do.
    let mut shell = home.program("sh");
    shell
        .args([
            "-c",
            "exec 3<\"$SECRET\" 7<\"$SECRET\" 9>>\"$SECRET\" 8<\"$SECRET\"; ulimit -c unlimited; exec \"$@\"",
            "sh",
        ])
        .arg(banger)
        .args(args)
        .env("SECRET", &secret)
        .env("HOME", home.user_dir());
    home.finish(shell, Vec::new())?.ok()?;
    let daemon = home.daemon_pid()?;
    let machine = home.vm("vm")?.machine.context("a machine")?;
    ensure!(!machine.processes.is_empty(), "no process is told");
    let pids = machine
        .processes
        .iter()
        .map(|process| process.pid)
        .chain([daemon]);
    for pid in pids {
        let open = open_files(pid)?;
        ensure!(!open.contains(&secret), "process {pid} has {open:?}");
        let limits = std::fs::read_to_string(format!("/proc/{pid}/limits"))?;
        let core = limits
            .lines()
            .find(|line| line.starts_with("Max core file size"))
            .context("a limit")?;
        ensure!(
            core.split_whitespace().nth(4) == Some("0"),
            "process {pid}: {core}"
        );
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        ensure!(
            status.contains("NoNewPrivs:\t1"),
            "process {pid} may gain privileges"
        );
    }
    let name = backend.name();
    refused("vmm", &format!("descriptors-of-the-caller.{name}"));
    refused("vmm", &format!("core-dump.{name}"));
    refused("vmm", &format!("new-privileges.{name}"));
    let vmm = &machine.processes[0];
    ensure!(vmm.pid == machine.pid, "the VMM is not the first");
    if backend.is_real() {
        ensure!(vmm.seccomp == "filter", "{vmm:?}");
        refused("vmm", &format!("system-calls.{name}"));
        let uid = std::fs::metadata(format!("/proc/{}", vmm.pid))?.uid();
        ensure!(uid == vmm.uid, "it is told as user {}, and is {uid}", vmm.uid);
    }
    let shown = home.banger(["vm", "show", "vm"])?.ok()?.text();
    ensure!(shown.contains("confinement"), "{shown}");
    home.end()
}
