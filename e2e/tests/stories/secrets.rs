//! Secrets and variables: in the guest's memory alone, and read by those who may.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use banger_e2e::{Backend, Home, Image};

use crate::identity::{create, root, user_of_root, write};
use crate::{Scenario, everywhere, in_guests};

pub(crate) const SCENARIOS: &[Scenario] = &[
    everywhere("secrets_are_in_memory_and_nowhere_else", secrets),
    in_guests("a_secret_is_its_commands_to_read", readers),
    everywhere("variables_come_from_a_file", variables),
];

/// A value that is nowhere else, not even in a scenario that runs at the same time.
fn value(backend: Backend) -> String {
    ["s3cret", backend.name(), "7f0a61c2e94b"].join("-")
}

pub(crate) fn secrets(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?.with_env("TOKEN", &value(backend));
    let create = create(
        &home,
        backend,
        Image::Busybox,
        &["--secret", "TOKEN", "-e", "MARK=in-the-state"],
    )?;
    ensure!(!create.stderr.contains(&value(backend)));
    let dir = format!("{}/run/banger/secrets", root(&home, backend)?);
    let read = || home.sh("vm", &format!("cat {dir}/TOKEN"));
    ensure!(read()? == value(backend));
    let (user, group) = user_of_root(backend);
    let owned = home.sh("vm", &format!("stat -c '%a %u:%g' {dir}/TOKEN"))?;
    ensure!(owned == format!("400 {user}:{group}"), "{owned}");
    // Another way, for a command and for a session; a value is any bytes.
    let file = home.path().join("user/value");
    std::fs::write(&file, b"a\nb\0c")?;
    let from_file = format!("FILE={}", file.display());
    let count = ["sh", "-c", &format!("cat {dir}/FILE {dir}/INPUT | wc -c")];
    let args = [
        "vm", "exec", "--secret", &from_file, "--secret", "INPUT=-", "vm", "--",
    ];
    let told = home
        .banger_with([&args[..], &count].concat(), b"input".to_vec())?
        .ok()?;
    ensure!(told.text() == "10", "{told:?}");
    home.banger(["vm", "exec", "--secret", "MISSING", "vm", "--", "true"])?
        .exited(125)?
        .saying("variable MISSING is not set in your environment")?;
    ensure!(home.vm("vm")?.secrets == ["FILE", "INPUT", "TOKEN"]);
    if backend.is_real() {
        let kind = home.sh("vm", "grep /run/banger/secrets /proc/mounts | cut -d' ' -f1")?;
        ensure!(kind == "tmpfs" || kind == "ramfs", "{kind}");
        home.sh("vm", "echo on-the-disk > /root/mark; sync")?;
    }
    nowhere_else(&home, backend)?;
    let daemon = home.daemon_pid()?;
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(daemon).context("a process")?,
        rustix::process::Signal::KILL,
    )?;
    ensure!(read()? == value(backend), "it ended with the daemon");
    nowhere_else(&home, backend)?;
    // It ends with the guest, and that is told once.
    home.banger(["vm", "restart", "vm"])?
        .ok()?
        .saying("provide FILE, INPUT, TOKEN again")?
        .saying("--secret TOKEN vm -- true")?;
    read().err().context("a secret outlived its guest")?;
    ensure!(home.vm("vm")?.secrets.is_empty());
    nowhere_else(&home, backend)?;
    let again = home.banger(["vm", "restart", "--secret", "TOKEN", "vm"])?.ok()?;
    ensure!(!again.stderr.contains("provide TOKEN again"), "{again:?}");
    ensure!(read()? == value(backend));
    home.end()
}

/// Looks for the value in all files of the home and in all processes, by a search that finds what is there.
fn nowhere_else(home: &Home, backend: Backend) -> Result<()> {
    let mut found = files_with(home.path(), &value(backend))?;
    // The files of a fake guest are files of the host's.
    found.retain(|file| !file.contains("/root/run/banger/secrets/"));
    ensure!(found.is_empty(), "the value is in {found:?}");
    ensure!(!files_with(home.path(), "in-the-state")?.is_empty());
    if backend.is_real() {
        let disks = files_with(&home.path().join("state/vms"), "on-the-disk")?;
        ensure!(disks.iter().any(|file| file.ends_with("disk.ext4")), "{disks:?}");
    }
    let needle = value(backend).into_bytes();
    for process in std::fs::read_dir("/proc")?.flatten() {
        for name in ["environ", "cmdline"] {
            let shown = std::fs::read(process.path().join(name)).unwrap_or_default();
            let has = shown.windows(needle.len()).any(|window| window == needle);
            ensure!(!has, "the value is in {}/{name}", process.path().display());
        }
    }
    Ok(())
}

fn files_with(dir: &Path, text: &str) -> Result<Vec<String>> {
    // The pattern comes by a file, or the search would be a process that shows it.
    let pattern = tempfile::NamedTempFile::new()?;
    std::fs::write(pattern.path(), text)?;
    let output = Command::new("grep")
        .args(["-rlaF", "--devices=skip", "-f"])
        .arg(pattern.path())
        .arg(dir)
        .output()?;
    ensure!(output.status.code() != Some(2) || output.stderr.is_empty() || !output.stdout.is_empty());
    let lines = String::from_utf8(output.stdout)?;
    Ok(lines.lines().map(str::to_owned).collect())
}

fn readers(backend: Backend) -> Result<()> {
    // An init that has its own way with /run.
    let home = Home::new(&[Image::Systemd])?.with_env("TOKEN", "for one");
    create(
        &home,
        backend,
        Image::Systemd,
        &["--secret", "TOKEN", "--wait", "init"],
    )?;
    ensure!(home.sh("vm", "cat /run/banger/secrets/TOKEN")? == "for one");
    let read = |secret: &[&str], user: &str| {
        let cat = ["-u", user, "vm", "--", "cat", "/run/banger/secrets/TOKEN"];
        home.banger([&["vm", "exec"], secret, &cat].concat())
    };
    ensure!(read(&["--secret", "TOKEN"], "1000:1000")?.ok()?.text() == "for one");
    read(&[], "1001:1001")?.failed()?;
    ensure!(read(&[], "0:0")?.ok()?.text() == "for one");
    let session = [
        "vm",
        "session",
        "start",
        "--secret",
        "TOKEN",
        "--name",
        "s",
        "-u",
        "1001:1001",
        "vm",
        "--",
    ];
    home.banger([&session[..], &["cat", "/run/banger/secrets/TOKEN"]].concat())?
        .ok()?;
    home.banger(["vm", "session", "wait", "vm", "s"])?.ok()?;
    let log = home.banger(["vm", "session", "logs", "vm", "s"])?.ok()?.text();
    ensure!(log == "for one", "{log}");
    home.end()
}

fn variables(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?.with_env("HERE", "from here");
    write(
        &home,
        "vm.env",
        "# of the VM\nA=of the VM\nB=\"b\"\nHERE\nNOWHERE\n",
    )?;
    write(&home, "command.env", "A=of the command\r\n  C=c # no comment\n")?;
    write(&home, "wrong.env", "A=1\nexport B=private\n")?;
    let file = |name: &str| home.user_dir().join(name).to_string_lossy().into_owned();
    create(&home, backend, Image::Busybox, &["--env-file", &file("vm.env")])?;
    let show = ["sh", "-c", "echo \"$A,$B,$C,$HERE,${NOWHERE-none}\""];
    let exec = |more: &[&str]| home.banger([&["vm", "exec"], more, &["vm", "--"], &show].concat());
    ensure!(exec(&[])?.ok()?.text() == "of the VM,\"b\",,from here,none");
    let told = exec(&["--env-file", &file("command.env"), "-e", "B=said"])?
        .ok()?
        .text();
    ensure!(
        told == "of the command,said,c # no comment,from here,none",
        "{told}"
    );
    let wrong = exec(&["--env-file", &file("wrong.env")])?
        .failed()?
        .saying("line 2 has a space in its name")?;
    ensure!(!wrong.stderr.contains("private"));
    exec(&["--env-file", "/nowhere"])?.failed()?.saying("/nowhere")?;
    let start = [
        "vm",
        "session",
        "start",
        "--name",
        "s",
        "--env-file",
        &file("command.env"),
        "vm",
        "--",
    ];
    home.banger([&start[..], &show].concat())?.ok()?;
    home.banger(["vm", "session", "wait", "vm", "s"])?.ok()?;
    let log = home.banger(["vm", "session", "logs", "vm", "s"])?.ok()?.text();
    ensure!(
        log == "of the command,\"b\",c # no comment,from here,none",
        "{log}"
    );
    home.end()
}
