//! Commands in guests: streams, terminals, signals, and what kills them.

use std::io::{Read, Write};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use banger_e2e::{Backend, Home, Image, Terminal};
use rustix::process::{Pid, Signal, kill_process};

use crate::{Scenario, everywhere, in_guests, on_the_host};

pub(crate) const SCENARIOS: &[Scenario] = &[
    everywhere("streams_and_exit_codes_are_the_commands", streams_and_exit_codes),
    everywhere("a_terminal_has_a_size_that_changes", a_terminal),
    everywhere("every_byte_goes_through_a_pipe", every_byte),
    everywhere("an_interrupt_reaches_the_command", an_interrupt),
    in_guests(
        "killing_the_agents_server_loses_no_command",
        killing_the_agents_server,
    ),
    in_guests("commands_run_as_other_users", other_users),
    on_the_host("a_gibibyte_goes_through_in_constant_memory", a_gibibyte),
];

fn streams_and_exit_codes(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "vm", &[])?;
    let script = "echo out; echo err >&2; cat; echo $A; pwd; exit 42";
    let args = [
        "vm", "exec", "vm", "-e", "A=b c", "-w", "/root", "--", "sh", "-c", script,
    ];
    let output = home.banger_with(args, b"in\n".to_vec())?.exited(42)?;
    ensure!(
        output.text().starts_with("out\nin\nb c\n") && output.text().ends_with("/root"),
        "{}",
        output.text()
    );
    ensure!(output.stderr.contains("err\n"), "{}", output.stderr);
    home.exec("vm", &["no-such-program"])?
        .exited(127)?
        .saying("there is no program `no-such-program`")?;
    home.exec("vm", &["sh", "-c", "kill -9 $$"])?.exited(137)?;
    home.exec("nobody", &["true"])?
        .exited(125)?
        .saying("there is no VM `nobody`")?;
    if !backend.is_real() {
        return home.end();
    }
    // What a command leaves in the background does not hold its stream.
    let since = Instant::now();
    home.exec("vm", &["sh", "-c", "sleep 30 & echo left"])?.ok()?;
    ensure!(
        since.elapsed() < Duration::from_secs(15),
        "it took {:?}",
        since.elapsed()
    );
    home.end()
}

fn a_terminal(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "vm", &[])?;
    let command = home.command([
        "vm",
        "exec",
        "-t",
        "vm",
        "--",
        "sh",
        "-c",
        "tty; stty size; read x; stty size; exit 5",
    ]);
    let mut terminal = Terminal::start(command, 30, 100)?;
    terminal.expect("/dev/pts/")?;
    terminal.expect("30 100")?;
    terminal.resize(50, 132)?;
    // The resize goes first on the same stream.
    std::thread::sleep(Duration::from_millis(300));
    terminal.write("\r")?;
    terminal.expect("50 132")?;
    let code = terminal.end()?;
    ensure!(code == 5, "exit code {code}");
    home.end()
}

fn every_byte(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "vm", &[])?;
    let mib = if backend == Backend::Tcg { 8 } else { 64 };
    let bytes: Vec<u8> = (0..mib << 18)
        .flat_map(|word: u32| word.wrapping_mul(0x9e37_79b9).to_le_bytes())
        .collect();
    let output = home
        .banger_with(["vm", "exec", "vm", "--", "cat"], bytes.clone())?
        .ok()?;
    ensure!(
        output.stdout == bytes,
        "{} of {} bytes came, or others",
        output.stdout.len(),
        bytes.len()
    );
    // A command that reads nothing of much input ends as it will.
    home.banger_with(["vm", "exec", "vm", "--", "sh", "-c", "exit 3"], bytes)?
        .exited(3)?;
    home.end()
}

fn an_interrupt(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "vm", &[])?;
    let script = "trap 'echo caught; exit 9' INT; echo ready; while :; do sleep 1; done";
    let mut child = home
        .command(["vm", "exec", "vm", "--", "sh", "-c", script])
        .stdin(Stdio::piped())
        .spawn()?;
    let mut stdout = child.stdout.take().context("its output")?;
    let mut line = [0; 6];
    stdout.read_exact(&mut line)?;
    ensure!(&line == b"ready\n");
    kill_process(pid(child.id())?, Signal::INT)?;
    let mut rest = String::new();
    stdout.read_to_string(&mut rest)?;
    let code = child.wait()?.code();
    ensure!(rest == "caught\n" && code == Some(9), "{rest:?}, {code:?}");
    home.end()
}

fn pid(id: u32) -> Result<Pid> {
    Pid::from_raw(i32::try_from(id)?).context("a process id")
}

fn killing_the_agents_server(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "vm", &[])?;
    let mut child = home
        .command([
            "vm",
            "exec",
            "vm",
            "--",
            "sh",
            "-c",
            "echo before; cat; echo after",
        ])
        .stdin(Stdio::piped())
        .spawn()?;
    let mut stdout = child.stdout.take().context("its output")?;
    let mut line = [0; 7];
    stdout.read_exact(&mut line)?;
    // The server is the process that was started as `@banger-agent serve`.
    let find = "for p in /proc/[0-9]*; do grep -q '^@banger-agent.serve' $p/cmdline 2>/dev/null && echo ${p#/proc/}; done; true";
    let server = home.sh("vm", find)?;
    home.sh("vm", &format!("kill -9 {server}"))?;
    let since = Instant::now();
    let again = home.sh("vm", find)?;
    let took = since.elapsed();
    ensure!(server != again, "the server {server} was not killed");
    // Long enough for two guests on two cores: what is too slow, hangs.
    ensure!(took < Duration::from_secs(20), "it was back after {took:?}");
    let mut stdin = child.stdin.take().context("its input")?;
    stdin.write_all(b"still here\n")?;
    drop(stdin);
    let mut rest = String::new();
    stdout.read_to_string(&mut rest)?;
    ensure!(
        rest == "still here\nafter\n" && child.wait()?.success(),
        "{rest:?}"
    );
    home.end()
}

fn other_users(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "vm", &[])?;
    home.sh(
        "vm",
        "echo 'web:x:1000:1000::/srv:/bin/sh' > /etc/passwd; echo 'web:x:1000:' > /etc/group; mkdir -p /srv",
    )?;
    let id = |user: &str| {
        home.banger([
            "vm",
            "exec",
            "vm",
            "-u",
            user,
            "--",
            "sh",
            "-c",
            "id -u; id -g; pwd",
        ])
    };
    ensure!(id("web")?.ok()?.text() == "1000\n1000\n/srv");
    ensure!(id("7:8")?.ok()?.text() == "7\n8\n/");
    id("nobody")?.exited(125)?.saying("there is no user `nobody`")?;
    home.end()
}

fn a_gibibyte(backend: Backend) -> Result<()> {
    const GIB: u64 = 1 << 30;
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "vm", &[])?;
    let mut child = home
        .command(["vm", "exec", "vm", "--", "cat"])
        .stdin(Stdio::piped())
        .spawn()?;
    let mut stdin = child.stdin.take().context("its input")?;
    let mut stdout = child.stdout.take().context("its output")?;
    let writing = std::thread::spawn(move || {
        let chunk = vec![b'x'; 1 << 20];
        (0..GIB >> 20).try_for_each(|_| stdin.write_all(&chunk))
    });
    let mut came = 0;
    let mut buffer = vec![0; 1 << 20];
    let mut most = 0;
    loop {
        let read = stdout.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        came += read as u64;
        if came % (64 << 20) < (1 << 20) {
            most = most
                .max(resident(child.id())?)
                .max(resident(u32::try_from(home.daemon_pid()?)?)?);
        }
    }
    writing.join().expect("a scenario's thread")?;
    ensure!(child.wait()?.success() && came == GIB, "{came} bytes came");
    ensure!(most < 64 << 20, "a process took {} MiB", most >> 20);
    home.end()
}

/// Resident memory of a process in bytes.
fn resident(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .context("VmRSS")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib << 10)
}
