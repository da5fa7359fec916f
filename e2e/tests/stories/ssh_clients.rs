//! What builds on SSH, as black boxes: rsync, git, and clients that share no line of code with OpenSSH.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use banger_e2e::{Backend, Home, Image, Ssh, python};

use crate::{Scenario, on_the_host};

pub(crate) const SCENARIOS: &[Scenario] = &[
    on_the_host("rsync_goes_by_ssh", rsync).with("rsync"),
    on_the_host("git_goes_by_ssh", git).with("git"),
    on_the_host("paramiko_is_served", paramiko).with(python::PARAMIKO),
    on_the_host("asyncssh_is_served", asyncssh).with(python::ASYNCSSH),
    on_the_host("ansible_is_served", ansible).with(python::ANSIBLE),
];

const VM: &str = "vm.vm";

fn rsync(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "vm", &[])?;
    let ssh = Ssh::of(&home)?;
    let (here, back) = (home.path().join("here"), home.path().join("back"));
    std::fs::create_dir(&here)?;
    for file in 0..500_u32 {
        std::fs::write(here.join(file.to_string()), vec![file as u8; file as usize * 97])?;
    }
    let run = |from: &str, to: &str| {
        let mut command = home.program("rsync");
        command.args(["-a", "--delete", "-e", &ssh.command_line(), from, to]);
        home.finish(command, Vec::new())?.ok()
    };
    let (here_text, back_text) = (format!("{}/", here.display()), format!("{}/", back.display()));
    run(&here_text, &format!("{VM}:tree/"))?;
    std::fs::remove_file(here.join("7"))?;
    run(&here_text, &format!("{VM}:tree/"))?;
    run(&format!("{VM}:tree/"), &back_text)?;
    let mut diff = Command::new("diff");
    diff.arg("-r").arg(&here).arg(&back);
    ensure!(diff.status()?.success(), "the trees differ");
    home.end()
}

fn git(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "vm", &[])?;
    let ssh = Ssh::of(&home)?;
    let id = "-c user.name=a -c user.email=a@b.c";
    ssh.sh(
        VM,
        &format!("git init -q repo && cd repo && echo 1 > f && git add f && git {id} commit -qm one && pwd"),
    )?;
    let path = ssh.sh(VM, "cd repo && pwd")?;
    let git = |args: &[&str]| {
        let mut command = home.program("git");
        command.args(args).env("GIT_SSH_COMMAND", ssh.command_line());
        home.finish(command, Vec::new())?.ok()
    };
    git(&["clone", "-q", &format!("ssh://{VM}{path}"), "clone"])?;
    std::fs::write(home.path().join("clone/f"), "2\n")?;
    let commit = [
        "-c",
        "user.name=a",
        "-c",
        "user.email=a@b.c",
        "commit",
        "-qam",
        "two",
    ];
    git(&[&["-C", "clone"], &commit[..]].concat())?;
    git(&["-C", "clone", "push", "-q", "origin", "HEAD:refs/heads/two"])?;
    ensure!(ssh.sh(VM, "cd repo && git show two:f")? == "2");
    home.end()
}

/// What a script of Python's is told of a home.
fn script(home: &Home, python: PathBuf, text: &str) -> Result<()> {
    let ssh = Ssh::of(home)?;
    let state = home.path().join("state/ssh");
    let banger = std::fs::read_to_string(&ssh.config)?;
    let proxy = banger
        .lines()
        .find_map(|line| line.trim().strip_prefix("ProxyCommand "));
    let proxy = proxy.context("the proxy command")?.replace("%h", VM);
    ssh.sh(VM, "true")?;
    let mut command = home.program(python);
    command
        .arg("-c")
        .arg(text)
        .env("PROXY", proxy)
        .env("CONFIG", &ssh.config)
        .env("IDENTITY", state.join("id_ed25519"))
        .env("KNOWN_HOSTS", state.join("known_hosts"));
    let output = home.finish(command, Vec::new())?.ok()?;
    ensure!(output.text().ends_with("well"), "{}", output.text());
    Ok(())
}

fn paramiko(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "vm", &[])?;
    script(
        &home,
        python::interpreter(python::PARAMIKO)?,
        r#"
import os, paramiko
client = paramiko.SSHClient()
client.load_host_keys(os.environ["KNOWN_HOSTS"])
client.connect("vm.vm", username="root", key_filename=os.environ["IDENTITY"], allow_agent=False,
               look_for_keys=False, sock=paramiko.ProxyCommand(os.environ["PROXY"]))
stdin, stdout, stderr = client.exec_command("cat; echo err >&2; exit 7")
data = os.urandom(1 << 20)
stdin.write(data); stdin.channel.shutdown_write()
assert stdout.read() == data and stderr.read() == b"err\n" and stdout.channel.recv_exit_status() == 7
sftp = client.open_sftp()
sftp.mkdir("d"); sftp.chdir("d")
with sftp.open("f", "wb") as f:
    f.write(data)
with sftp.open("f", "rb") as f:
    f.prefetch(); assert f.read() == data
sftp.posix_rename("f", "g"); sftp.chmod("g", 0o600); sftp.truncate("g", 5); sftp.utime("g", (1, 2))
assert sftp.stat("g").st_size == 5 and sftp.stat("g").st_mtime == 2
sftp.symlink("g", "l"); assert sftp.readlink("l") == "g" and sorted(sftp.listdir()) == ["g", "l"]
channel = client.invoke_shell(term="xterm", width=90, height=20)
channel.send(b"stty size; exit\n")
out = b""
while True:
    some = channel.recv(1000)
    if not some: break
    out += some
assert b"20 90" in out, out
client.close(); print("well")
"#,
    )?;
    home.end()
}

fn asyncssh(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "vm", &[])?;
    script(
        &home,
        python::interpreter(python::ASYNCSSH)?,
        r#"
import asyncio, os, asyncssh
def connect(**said):
    return asyncssh.connect("vm.vm", config=[os.environ["CONFIG"]], known_hosts=os.environ["KNOWN_HOSTS"], **said)
async def main():
    for method in ["mlkem768x25519-sha256", "curve25519-sha256"]:
        async with connect(kex_algs=[method], rekey_bytes=1 << 20) as c:
            assert len((await c.run("cat", input="x" * (4 << 20))).stdout) == 4 << 20, method
    async with connect(encryption_algs=["aes256-gcm@openssh.com"]) as c:
        r = await c.run("cat; exit 3", input="x" * 1000000, env={"A": "b"})
        assert r.exit_status == 3 and len(r.stdout) == 1000000
        assert (await c.run("echo $A", env={"A": "b c"})).stdout == "b c\n"
        r = await c.run("kill -TERM $$")
        assert r.exit_signal[0] == "TERM", r.exit_signal
        many = await asyncio.gather(*(c.run(f"echo {i}") for i in range(50)))
        assert [int(r.stdout) for r in many] == list(range(50))
        async with c.start_sftp_client() as sftp:
            async with sftp.open("f", "wb") as f:
                await f.write(b"y" * 2000000)
            assert (await sftp.stat("f")).size == 2000000
            await sftp.makedirs("a/b/c"); await sftp.rmtree("a")
        server = await c.forward_remote_port("localhost", 0, "localhost", 1)
        assert server.get_port() > 0
        server.close(); await server.wait_closed()
        p = await c.create_process("sleep 100"); p.send_signal("KILL"); await p.wait()
        assert p.exit_signal[0] == "KILL"
        p = await c.create_process("trap 'exit 9' USR1; echo ready; while :; do sleep 0.1; done", term_type="xterm",
                                   term_modes={asyncssh.PTY_ONLCR: 0})
        assert await p.stdout.readline() == "ready\n"
        p.send_signal("USR1"); await p.wait(); assert p.exit_status == 9
    print("well")
asyncio.run(main())
"#,
    )?;
    home.end()
}

fn ansible(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "vm", &[])?;
    let ssh = Ssh::of(&home)?;
    let python = python::interpreter(python::ANSIBLE)?;
    let program = python.with_file_name("ansible");
    let mut command = home.program(program);
    command
        .args(["-i", "vm.vm,", "all", "-m", "ping", "-e"])
        // The fake guest is this host.
        .arg(format!("ansible_python_interpreter={}", python.display()))
        .args(["--ssh-common-args", &format!("-F {}", ssh.config.display())])
        .env("ANSIBLE_HOME", home.path().join("ansible"))
        .env("ANSIBLE_SSH_ARGS", "-C")
        .env("LC_ALL", "C.UTF-8");
    let output = home.finish(command, Vec::new())?.ok()?;
    ensure!(output.text().contains("pong"), "{}", output.text());
    home.end()
}
