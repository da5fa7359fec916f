//! Who may have the state: one daemon, whatever it is called; the machines of this state, and not of a copy of it.

use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use banger_cases::refused;
use banger_e2e::{Backend, Home, Image, Output, committed, git, kills, short_dir};
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, kill_process};

use crate::{Story, everywhere, on_the_host};

pub(crate) const STORIES: &[Story] = &[
    on_the_host("one_daemon_whatever_the_environment", one_daemon),
    on_the_host("a_copied_state_lets_the_original_be", a_copied_state),
    on_the_host("a_disk_that_a_machine_has_is_let_alone", a_disk_in_use),
    on_the_host(
        "a_vm_goes_with_its_command_however_that_ends",
        goes_with_its_command,
    ),
    on_the_host("ending_vms_needs_no_configuration", a_broken_configuration),
    on_the_host("nobody_ends_the_daemon_under_a_command_unasked", open_streams),
    on_the_host("a_failed_start_of_the_daemon_says_why", a_failed_start),
    on_the_host("killed_daemons_leave_nothing_half_done", killed_daemons),
    on_the_host("a_full_host_disk_is_said_and_left_again", a_full_host_disk).by_root(),
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

/// Waits until there is no VM and nothing of one, by asking: its record goes before its files. The bound is generous, for a
/// busy machine.
pub(crate) fn until_none(home: &Home) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let left = home.leftovers()?;
        if left.is_empty() {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "what stays: {left:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn goes_with_its_command(_: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    let nowhere = home.path().join("nowhere");
    std::fs::create_dir(&nowhere)?;
    let nowhere = nowhere.to_string_lossy().into_owned();
    let args = [
        "vm",
        "run",
        "--rm",
        "--name",
        "vm",
        "--image",
        "busybox",
        "--vmm",
        "fake",
        "--kernel",
        "debian",
        &nowhere,
        "--",
        "sh",
        "-c",
        "echo up; exec sleep 1000",
    ];
    let begin = || -> Result<_> {
        let mut client = home.command(args).spawn()?;
        let mut line = [0; 3];
        std::io::Read::read_exact(client.stdout.as_mut().context("its output")?, &mut line)?;
        Ok(client)
    };
    for signal in [Signal::KILL, Signal::TERM, Signal::HUP] {
        let mut client = begin()?;
        let process = Pid::from_raw(i32::try_from(client.id())?).context("a process id")?;
        kill_process(process, signal)?;
        client.wait()?;
        until_none(&home)?;
    }
    refused("state", "remove-on-exit.client-killed");
    // The command outlives a daemon, and its VM with it; then it is killed at the next daemon, or before that comes.
    for comes_back in [true, false] {
        let mut client = begin()?;
        let process = Pid::from_raw(i32::try_from(client.id())?).context("a process id")?;
        if !comes_back {
            kill_process(process, Signal::STOP)?;
        }
        home.kill_daemon()?;
        ensure!(
            home.vm("vm")?.phase.to_string() == "running",
            "it went with the daemon"
        );
        std::thread::sleep(Duration::from_secs(2));
        ensure!(client.try_wait()?.is_none(), "the command went with the daemon");
        client.kill()?;
        client.wait()?;
        until_none(&home)?;
    }
    refused("state", "remove-on-exit.daemon-killed");
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

fn open_streams(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "vm", &[])?;
    // The command line's own streams are handed over to the agent: they go on.
    let mut client = home
        .command(["vm", "exec", "vm", "--", "sh", "-c", "echo up; read line; exit 9"])
        .stdin(Stdio::piped())
        .spawn()?;
    std::io::Read::read_exact(client.stdout.as_mut().context("its output")?, &mut [0; 3])?;
    home.banger(["daemon", "stop"])?.ok()?;
    home.vm("vm")?;
    std::io::Write::write_all(client.stdin.as_mut().context("its input")?, b"\n")?;
    ensure!(client.wait()?.code() == Some(9), "the command was cut off");
    // Those of a client that takes no descriptors run through the daemon.
    let relayed = relayed_exec(&home)?;
    let daemon = home.daemon_pid()?;
    home.banger(["daemon", "stop"])?
        .exited(4)?
        .saying("banger daemon stop --force")?;
    ensure!(home.daemon_pid()? == daemon, "the daemon has gone all the same");
    home.banger(["daemon", "stop", "--force"])?.ok()?;
    drop(relayed);
    home.exec("vm", &["true"])?.ok()?;
    home.end()
}

/// A command whose stream the daemon relays: plain HTTP with an upgrade.
fn relayed_exec(home: &Home) -> Result<UnixStream> {
    let mut stream = UnixStream::connect(home.path().join("run/bangerd.sock"))?;
    let body = r#"{"argv":["sleep","1000"]}"#;
    write!(
        stream,
        "POST /v1/vms/vm/exec HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: stdio_mux_v1\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer)?;
    ensure!(&answer == b"HTTP/1.1 101", "{}", String::from_utf8_lossy(&answer));
    Ok(stream)
}

fn a_failed_start(_: Backend) -> Result<()> {
    let home = Home::bare()?;
    home.banger(["vm", "list"])?.ok()?;
    home.banger(["daemon", "stop"])?.ok()?;
    let log = home.path().join("state/bangerd.log");
    let mut text = std::fs::read_to_string(&log)?;
    for line in 0..40 {
        text.push_str(&format!("an error of last week, {line}\n"));
    }
    std::fs::write(&log, text)?;
    let database = home.path().join("state/banger.db");
    let kept = std::fs::read(&database)?;
    for beside in ["banger.db-wal", "banger.db-shm"] {
        let _ = std::fs::remove_file(home.path().join("state").join(beside));
    }
    std::fs::write(&database, vec![b'x'; 8192])?;
    let failed = home
        .banger(["vm", "list"])?
        .failed()?
        .saying("open the database")?;
    ensure!(!failed.stderr.contains("last week"), "{}", failed.stderr);
    std::fs::write(&database, kept)?;
    home.end()
}

fn killed_daemons(_: Backend) -> Result<()> {
    let report = kills::kill_often(40, 0x5eed_ba26)?;
    ensure!(
        report.failures.is_empty(),
        "{} of {} cases:\n{}",
        report.failures.len(),
        report.cases,
        report.failures.join("\n")
    );
    Ok(())
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

/// A small file system, for as long as this lives.
struct Mounted(PathBuf);

impl Mounted {
    fn at(dir: &Path, size: &str) -> Result<Self> {
        std::fs::create_dir_all(dir)?;
        let options = format!("size={size},mode=700");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "none"])
            .arg(dir)
            .status()?;
        ensure!(mounted.success(), "no file system was mounted");
        Ok(Self(dir.to_owned()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Lazily: a story that failed has a daemon there yet.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn until_phase(home: &Home, phase: &str) -> Result<banger_api::Vm> {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let vm = home.vm("vm")?;
        if vm.phase.to_string() == phase {
            return Ok(vm);
        }
        ensure!(Instant::now() < deadline, "it is {} and not {phase}", vm.phase);
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// As with Firecracker, the machine does not stop by itself: it is halted when it writes and there is nearly no space.
fn a_full_host_disk(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.banger(["daemon", "stop"])?.ok()?;
    std::fs::remove_dir_all(home.path().join("state"))?;
    let mounted = Mounted::at(&home.path().join("state"), "32m")?;
    home.create(backend, Image::Busybox, "vm", &["--disk-size", "64M"])?;
    let id = home.vm("vm")?.id;
    let disk = home.path().join("state/vms").join(id).join("disk.ext4");
    let ballast = home.path().join("state/ballast");
    // As full as it gets, the reserve of the database apart.
    let mut file = std::fs::File::create(&ballast)?;
    while std::io::Write::write_all(&mut file, &[1; 64 << 10]).is_ok() {}
    drop(file);
    // What is written over takes no space, and is what a guest's write is to who watches.
    let first = std::fs::read(&disk)?[1024..1025].to_vec();
    let writable = std::fs::OpenOptions::new().write(true).open(&disk)?;
    std::os::unix::fs::FileExt::write_all_at(&writable, &first, 1024)?;
    let vm = until_phase(&home, "paused")?;
    ensure!(vm.paused.as_deref() == Some("host disk full"), "{:?}", vm.paused);
    let listed = home.banger(["vm", "list"])?.ok()?.text();
    ensure!(listed.contains("paused: host disk full"), "{listed}");
    home.exec("vm", &["true"])?
        .exited(125)?
        .saying("is paused: host disk full")?;
    home.banger(["vm", "stop", "vm"])?
        .exited(4)?
        .saying("is paused: host disk full")?;
    std::fs::remove_file(&ballast)?;
    until_phase(&home, "running")?;
    home.exec("vm", &["true"])?.ok()?;
    // And a VM is deleted while there is no space at all.
    let mut file = std::fs::File::create(&ballast)?;
    while std::io::Write::write_all(&mut file, &[1; 4096]).is_ok() {}
    home.banger(["vm", "delete", "-f", "vm"])?.ok()?;
    drop(file);
    std::fs::remove_file(&ballast)?;
    home.end()?;
    drop(mounted);
    Ok(())
}
