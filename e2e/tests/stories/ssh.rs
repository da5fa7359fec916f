//! SSH into VMs by the host's own clients: commands, files, keys.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use banger_e2e::{Backend, Home, Image, Ssh, Terminal};

use crate::ssh_files::odd_paths;
use crate::{Scenario, everywhere, in_guests, on_the_host};

pub(crate) const SCENARIOS: &[Scenario] = &[
    everywhere("ssh_runs_commands_as_they_are", commands).with("ssh"),
    on_the_host("only_keys_of_bangers_are_taken", keys).with("ssh"),
    on_the_host("the_users_own_key_and_time_zone_are_used", own_key).with("ssh"),
    on_the_host("ssh_config_is_a_block_among_the_users_lines", config),
    on_the_host("channels_have_a_bound", bound).with("ssh"),
    in_guests("ssh_works_with_nothing_in_the_image", nothing_in_it).with("ssh"),
    in_guests("ssh_serves_other_users_by_their_rights", other_users).with("sftp"),
    in_guests("an_ssh_session_outlives_the_agents_server", outlives).with("ssh"),
];

pub(crate) const VM: &str = "vm.vm";

fn commands(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(
        backend,
        Image::Busybox,
        "vm",
        &["-e", "OF_THE_VM=yes", "--wait", "ssh"],
    )?;
    let script = "echo out; echo err >&2; cat; echo $OF_THE_VM $USER; exit 42";
    let output = home.banger_with(["vm", "ssh", "vm", "--", script], b"in\n".to_vec())?;
    let output = output.exited(42)?.saying("err\n")?;
    ensure!(output.text() == "out\nin\nyes root", "{}", output.text());
    // Words stay words, and ssh's options are ssh's.
    let words = [
        "vm",
        "ssh",
        "vm",
        "-o",
        "SetEnv=A=1",
        "--",
        "sh",
        "-c",
        "echo $A '$A'",
        "b  c",
    ];
    ensure!(home.banger(words)?.ok()?.text() == "1 $A");
    let ssh = Ssh::of(&home)?;
    ensure!(
        ssh.sh(VM, "echo $0; pwd")?.ends_with("/root"),
        "it begins at home"
    );
    ssh.run("ssh", [VM, "no-such-program"])?.exited(127)?;
    // SSH has no code for a signal.
    ssh.run("ssh", [VM, "kill -9 $$"])?.exited(255)?;
    if backend.is_real() {
        // What is left in the background holds nothing.
        ssh.run("ssh", [VM, "sleep 100 & echo left"])?.ok()?;
    }
    home.banger(["vm", "ssh", "nobody"])?
        .exited(125)?
        .saying("there is no VM `nobody`")?;
    ssh.run("ssh", ["nobody.vm", "true"])?
        .exited(255)?
        .saying("there is no VM `nobody`")?;
    home.banger(["vm", "ssh", "--sshd", "vm", "--", "true"])?
        .exited(255)?
        .saying("no SSH server listens in it")?;
    home.banger(["vm", "stop", "vm"])?.ok()?;
    home.banger(["vm", "ssh", "vm"])?
        .exited(125)?
        .saying("banger vm start vm")?;
    home.end()
}

fn keys(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "vm", &[])?;
    let ssh = Ssh::of(&home)?;
    ssh.sh(VM, "true")?;
    for file in ["id_ed25519", "known_hosts"] {
        let mode = std::fs::metadata(home.path().join("state/ssh").join(file))?
            .permissions()
            .mode();
        ensure!(mode & 0o777 == 0o600, "{file} has mode {mode:o}");
    }
    // Another key, and no key.
    let other = home.path().join("other");
    let mut keygen = home.program("ssh-keygen");
    keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&other);
    home.finish(keygen, Vec::new())?.ok()?;
    let printed = std::fs::read_to_string(&ssh.config)?;
    let another = home.path().join("another.conf");
    let ours = home.path().join("state/ssh/id_ed25519");
    std::fs::write(
        &another,
        printed.replace(&ours.display().to_string(), &other.display().to_string()),
    )?;
    let mut command = home.program("ssh");
    command.arg("-F").arg(&another).args([VM, "true"]);
    home.finish(command, Vec::new())?
        .exited(255)?
        .saying("Permission denied (publickey)")?;
    // Until it is named as the user's.
    let public = std::fs::read_to_string(other.with_extension("pub"))?;
    let config = home.path().join("config");
    std::fs::create_dir_all(&config)?;
    let allow = format!("ssh_keys = [\"{}\"]\n", public.trim());
    std::fs::write(config.join("config.toml"), allow)?;
    let mut command = home.program("ssh");
    command.arg("-F").arg(&another).args([VM, "true"]);
    home.finish(command, Vec::new())?.ok()?;
    ssh.sh(VM, "true")?;
    let password = [
        "-o",
        "PubkeyAuthentication=no",
        "-o",
        "PreferredAuthentications=password",
        VM,
        "true",
    ];
    ssh.run("ssh", password)?
        .exited(255)?
        .saying("Permission denied (publickey)")?;
    ssh.run("ssh", ["-l", "nobody-there", VM, "true"])?
        .exited(255)?
        .saying("Permission denied (publickey)")?;
    // A VM that is not the one that is known. Nothing is asked.
    let known = home.path().join("known");
    std::fs::write(&known, format!("{VM} {public}"))?;
    let option = format!("UserKnownHostsFile={}", known.display());
    ssh.run("ssh", ["-o", &option, VM, "true"])?
        .exited(255)?
        .saying("Host key verification failed")?;
    // The name of a VM that went is known no more, and a new one of the name has a key of its own.
    let known = home.path().join("state/ssh/known_hosts");
    let before = std::fs::read_to_string(&known)?;
    home.banger(["vm", "delete", "-f", "vm"])?.ok()?;
    ensure!(
        !std::fs::read_to_string(&known)?.contains(VM),
        "it is known still"
    );
    home.create(backend, Image::Busybox, "vm", &[])?;
    ssh.sh(VM, "true")?;
    ensure!(
        std::fs::read_to_string(&known)? != before,
        "the key is the old VM's"
    );
    home.end()
}

fn own_key(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "vm", &["-e", "OF_THE_VM=yes"])?;
    let zoned = |line: &str| {
        let mut command = home.command(["vm", "ssh", "vm", "--", line]);
        command.env("TZ", "Europe/Berlin").env("OF_THE_USER", "yes");
        home.finish(command, Vec::new())
    };
    ensure!(zoned("echo $TZ $OF_THE_VM $OF_THE_USER")?.ok()?.text() == "Europe/Berlin yes");
    // A key that is not there is not made, and the hints of its error are followed as they stand.
    let own = home.path().join("own key");
    let path = own.to_str().context("a path")?;
    home.banger(["config", "set", "ssh_key_path", path])?.ok()?;
    let refused = zoned("true")?.failed()?.saying("of `ssh_key_path`")?;
    let keygen = refused.hint("create a key")?;
    home.shell(home.path(), &format!("{keygen} -N '' -q"))?.ok()?;
    zoned("true")?.ok()?;
    // banger's own is no longer accepted.
    let printed = home.banger(["ssh-config", "--print"])?.ok()?.text();
    ensure!(printed.contains(path), "{printed}");
    let made = home.path().join("state/ssh/id_ed25519");
    let other = home.path().join("made.conf");
    std::fs::write(&other, printed.replace(path, &made.display().to_string()))?;
    let mut command = home.program("ssh");
    command.arg("-F").arg(&other).args([VM, "true"]);
    home.finish(command, Vec::new())?
        .exited(255)?
        .saying("Permission denied (publickey)")?;
    std::fs::remove_file(&own)?;
    std::fs::remove_file(home.path().join("own key.pub"))?;
    let refused = zoned("true")?.failed()?;
    home.follow(&refused, "banger's own key")?.ok()?;
    zoned("true")?.ok()?;
    home.banger(["config", "set", "ssh_key_path", "relative"])?
        .exited(1)?
        .saying("expected an absolute path")?;
    home.end()
}

fn config(_: Backend) -> Result<()> {
    let home = Home::bare()?;
    let user = home.path().join("user");
    let file = user.join(".ssh/config");
    std::fs::create_dir_all(user.join(".ssh"))?;
    let text = b"# m\xefne\r\nHost *\n\tCompression no";
    std::fs::write(&file, text)?;
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640))?;
    let banger = |option: &str| {
        let mut command = home.command(["ssh-config", option]);
        command.env("HOME", &user);
        home.finish(command, Vec::new())
    };
    banger("--install")?.ok()?;
    let installed = std::fs::read(&file)?;
    ensure!(installed.ends_with(text) && installed.len() > text.len());
    banger("--install")?.ok()?;
    ensure!(
        std::fs::read(&file)? == installed,
        "it is not the same the second time"
    );
    let mode = std::fs::metadata(&file)?.permissions().mode() & 0o777;
    ensure!(mode == 0o640, "its mode became {mode:o}");
    banger("--uninstall")?.ok()?;
    ensure!(std::fs::read(&file)? == text, "other lines changed");
    odd_paths(&home)?;
    // A client without OpenSSL would refuse a cipher that it does not know.
    let ssh = home.path().join("ssh");
    for (knows, prefers) in [("aes128-gcm@openssh.com", true), ("aes128-ctr", false)] {
        std::fs::write(&ssh, format!("#!/bin/sh\necho {knows}\n"))?;
        std::fs::set_permissions(&ssh, std::fs::Permissions::from_mode(0o755))?;
        let mut command = home.command(["ssh-config", "--print"]);
        command.env("PATH", format!("{}:/usr/bin:/bin", home.path().display()));
        let printed = home.finish(command, Vec::new())?.ok()?.text();
        ensure!(printed.contains("Ciphers ^aes128-gcm") == prefers, "{printed}");
        ensure!(printed.contains("HostKeyAlgorithms ssh-ed25519"), "{printed}");
    }
    // Editors are told what they need.
    let code = home.path().join("code");
    std::fs::write(&code, "#!/bin/sh\necho \"$@\"\n")?;
    std::fs::set_permissions(&code, std::fs::Permissions::from_mode(0o755))?;
    let open = |path: &str| {
        let mut command = home.command(["vm", "code", "web"]);
        command.env("HOME", &user).env("PATH", path);
        home.finish(command, Vec::new())
    };
    open("/nowhere")?
        .exited(1)?
        .saying("there is no `code` on PATH")?;
    let path = format!("{}:/usr/bin:/bin", home.path().display());
    open(&path)?.exited(1)?.saying("banger ssh-config --install")?;
    home.banger(["daemon", "stop"])?.ok()?;
    Ok(())
}

fn bound(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "vm", &[])?;
    let ssh = Ssh::of(&home)?;
    // One connection for all: 300 commands that stay are more than it takes, and those that it took go on.
    let control = home.path().join("control");
    let control = format!("ControlPath={}", control.display());
    let mut master = ssh
        .client("ssh", ["-o", &control, "-M", VM, "echo ready; cat"])
        .stdin(Stdio::piped())
        .spawn()?;
    let mut stdout = master.stdout.take().context("its output")?;
    let mut ready = [0; 6];
    stdout.read_exact(&mut ready)?;
    let mut children = Vec::new();
    for _ in 0..300 {
        // A client that is refused would make a connection of its own.
        let alone = ["-o", &control, "-o", "ProxyCommand=false", VM, "cat"];
        let mut command = ssh.client("ssh", alone);
        children.push(
            command
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()?,
        );
    }
    std::thread::sleep(Duration::from_secs(8));
    let mut refused = 0;
    for child in &mut children {
        if child.try_wait()?.is_some_and(|status| !status.success()) {
            refused += 1;
        }
    }
    ensure!(refused >= 300 - 255, "{refused} of 300 were refused");
    master
        .stdin
        .take()
        .context("its input")?
        .write_all(b"still here\n")?;
    for mut child in children {
        child.stdin.take();
        child.wait()?;
    }
    let mut rest = String::new();
    stdout.read_to_string(&mut rest)?;
    ensure!(rest == "still here\n" && master.wait()?.success(), "{rest:?}");
    home.end()
}

fn nothing_in_it(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::OneProgram])?;
    home.create(backend, Image::OneProgram, "vm", &[])?;
    let ssh = Ssh::of(&home)?;
    let output = ssh.run("ssh", [VM, "/busybox echo 'a  b'"])?.ok()?;
    ensure!(output.text() == "a  b", "{}", output.text());
    let sftp = ssh.client("sftp", ["-b", "-", VM]);
    home.finish(sftp, b"mkdir /new\nls /\n".to_vec())?.ok()?;
    home.end()
}

fn other_users(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "vm", &[])?;
    home.sh(
        "vm",
        "echo 'web:x:1000:1000::/srv:/bin/sh' > /etc/passwd; echo 'web:x:1000:' > /etc/group; \
         mkdir -p /srv; chown 1000 /srv; echo secret > /secret; chmod 600 /secret",
    )?;
    let ssh = Ssh::of(&home)?;
    let web = format!("web@{VM}");
    ensure!(ssh.sh(&web, "id -u; id -g; pwd; echo $USER")? == "1000\n1000\n/srv\nweb");
    ssh.run("ssh", [web.as_str(), "cat /secret"])?.exited(1)?;
    let sftp = |batch: &str| home.finish(ssh.client("sftp", ["-b", "-", &web]), batch.as_bytes().to_vec());
    let back = home.path().join("back").display().to_string();
    sftp(&format!("get /secret {back}\n"))?
        .exited(1)?
        .saying("ermission denied")?;
    sftp("mkdir mine\n")?.ok()?;
    ensure!(home.sh("vm", "stat -c %u /srv/mine")? == "1000");
    // A terminal is its user's.
    let mut terminal = Terminal::start(
        ssh.client("ssh", ["-tt", &web, "test -O $(tty) && echo mine"]),
        24,
        80,
    )?;
    terminal.expect("mine")?;
    ensure!(terminal.end()? == 0);
    let user = home
        .banger(["vm", "ssh", "--user", "web", "vm", "--", "id -u"])?
        .ok()?;
    ensure!(user.text() == "1000", "{}", user.text());
    home.end()
}

fn outlives(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "vm", &[])?;
    let ssh = Ssh::of(&home)?;
    let mut child = ssh
        .client("ssh", [VM, "echo before; cat; echo after"])
        .stdin(Stdio::piped())
        .spawn()?;
    let mut stdout = child.stdout.take().context("its output")?;
    let mut line = [0; 7];
    stdout.read_exact(&mut line)?;
    let find = "for p in /proc/[0-9]*; do grep -q '^@banger-agent.serve' $p/cmdline 2>/dev/null && echo ${p#/proc/}; done; true";
    let server = home.sh("vm", find)?;
    home.sh("vm", &format!("kill -9 {server}"))?;
    ensure!(
        home.sh("vm", find)? != server,
        "the server {server} was not killed"
    );
    child
        .stdin
        .take()
        .context("its input")?
        .write_all(b"still here\n")?;
    let mut rest = String::new();
    stdout.read_to_string(&mut rest)?;
    ensure!(
        rest == "still here\nafter\n" && child.wait()?.success(),
        "{rest:?}"
    );
    home.end()
}
