//! SSH into VMs by the host's own clients: commands, files, keys.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use banger_e2e::{Backend, Home, Image, Ssh, Terminal};

use crate::{Story, everywhere, in_guests, on_the_host};

pub(crate) const STORIES: &[Story] = &[
    everywhere("ssh_runs_commands_as_they_are", commands).with("ssh"),
    everywhere("ssh_carries_every_byte", every_byte).with("ssh"),
    on_the_host("a_slow_reader_stops_nobody", slow_reader).with("ssh"),
    everywhere("files_go_by_sftp_and_scp", files).with("sftp"),
    on_the_host("only_keys_of_bangers_are_taken", keys).with("ssh"),
    on_the_host("ssh_config_is_a_block_among_the_users_lines", config),
    on_the_host("channels_have_a_bound", bound).with("ssh"),
    in_guests("ssh_works_with_nothing_in_the_image", nothing_in_it).with("ssh"),
    in_guests("ssh_serves_other_users_by_their_rights", other_users).with("sftp"),
    in_guests("an_ssh_session_outlives_the_agents_server", outlives).with("ssh"),
];

const VM: &str = "vm.vm";

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

/// Bytes of which none is like its neighbours.
fn bytes(count: usize) -> Vec<u8> {
    (0..count as u32 / 4)
        .flat_map(|word| word.wrapping_mul(0x9e37_79b9).to_le_bytes())
        .collect()
}

/// How many bytes a story carries. The test kernel of Firecracker on hosts without KVM of their own loses halves of AVX2's
/// registers, which encryption uses: with ChaCha20, of 25 times 32 MiB, 5 came with 256 wrong bytes of 512 in a row; with
/// AES-GCM one of some 30 ended by a wrong authentication code. So there it is little.
fn much(backend: Backend, otherwise: usize) -> usize {
    match backend {
        Backend::Firecracker => 1 << 20,
        Backend::Tcg => otherwise.min(10 << 20),
        Backend::Fake => otherwise,
    }
}

fn every_byte(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "vm", &[])?;
    let ssh = Ssh::of(&home)?;
    let bytes = bytes(much(backend, 10 << 20));
    // The client exchanges keys again after each MiB.
    let again = ssh.client("ssh", ["-o", "RekeyLimit=1M", VM, "cat"]);
    for command in [ssh.client("ssh", [VM, "cat"]), again] {
        let output = home.finish(command, bytes.clone())?.ok()?;
        ensure!(
            output.stdout == bytes,
            "{} bytes came, or others",
            output.stdout.len()
        );
    }
    let mut ciphers = vec!["aes128-gcm@openssh.com", "aes256-gcm@openssh.com"];
    if backend != Backend::Firecracker {
        ciphers.push("chacha20-poly1305@openssh.com");
    }
    for cipher in ciphers {
        let command = ssh.client("ssh", ["-c", cipher, VM, "cat"]);
        let output = home.finish(command, bytes[..100_000].to_vec())?.ok()?;
        ensure!(output.stdout == bytes[..100_000], "by {cipher}");
    }
    // A command that reads nothing of much input ends as it will.
    home.finish(ssh.client("ssh", [VM, "exit 3"]), bytes)?.exited(3)?;
    home.end()
}

/// 200 MB through `cat`, and a reader that begins late. A server that grants windows as data comes, and waits for whoever
/// shall take it, stops here for ever: what would let `cat` write again is behind what `cat` does not read.
fn slow_reader(backend: Backend) -> Result<()> {
    const ALL: u64 = 200 << 20;
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "vm", &[])?;
    let ssh = Ssh::of(&home)?;
    let mut child = ssh.client("ssh", [VM, "cat"]).stdin(Stdio::piped()).spawn()?;
    let mut stdin = child.stdin.take().context("its input")?;
    let writing = std::thread::spawn(move || {
        let chunk = vec![b'x'; 1 << 20];
        (0..ALL >> 20).try_for_each(|_| stdin.write_all(&chunk))
    });
    std::thread::sleep(Duration::from_secs(2));
    let mut stdout = child.stdout.take().context("its output")?;
    let came = std::io::copy(&mut stdout, &mut std::io::sink())?;
    writing.join().expect("a story's thread")?;
    ensure!(child.wait()?.success() && came == ALL, "{came} bytes came");
    home.end()
}

fn files(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "vm", &[])?;
    let ssh = Ssh::of(&home)?;
    let here = home.path().join("files");
    std::fs::create_dir(&here)?;
    let size = much(backend, 32 << 20);
    let big = bytes(size);
    std::fs::write(here.join("big"), &big)?;
    let odd = <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"odd \xff name");
    std::fs::write(here.join(odd), "odd")?;
    std::os::unix::fs::symlink("big", here.join("link"))?;
    std::fs::set_permissions(here.join("big"), std::fs::Permissions::from_mode(0o751))?;
    let batch = format!(
        "put -rp {here}\ncd files\nrename big great\nmkdir d\nrmdir d\nsymlink great to\nchmod 600 great\nls -l\n\
         df\nget great {here}/back\ncopy great twin\nget twin {here}/twin\nrm twin\nrm to\n!true\n",
        here = here.display()
    );
    let sftp = ssh.client("sftp", ["-b", "-", VM]);
    let output = home.finish(sftp, batch.into_bytes())?.ok()?;
    ensure!(output.text().contains("-rw-------"), "{}", output.text());
    ensure!(
        std::fs::read(here.join("back"))? == big,
        "the file came back otherwise"
    );
    // `copy` is the extension `copy-data`: nothing of the file leaves the guest.
    ensure!(
        std::fs::read(here.join("twin"))? == big,
        "the copy is another file"
    );
    // By both protocols of scp, the older one where the guest has the program.
    let names = [odd.as_encoded_bytes(), b"great"];
    // The shell's own words: an `ls` may show bytes otherwise.
    let listed = ssh.run("ssh", [VM, "cd files && printf '%s\\n' *"])?.ok()?.stdout;
    ensure!(
        listed == [names[1], b"\n", names[0], b"\n"].concat(),
        "its names are {}",
        listed.escape_ascii()
    );
    let mut protocols = vec!["-s"];
    if !backend.is_real() {
        protocols.push("-O");
    }
    for protocol in protocols {
        let to = format!("{VM}:by{protocol}");
        let back = here.join(format!("by{protocol}"));
        let (from, back_text) = (here.join("back"), back.display().to_string());
        ssh.run("scp", [protocol, "-q", &from.display().to_string(), &to])?
            .ok()?;
        ssh.run("scp", [protocol, "-q", &to, &back_text])?.ok()?;
        ensure!(std::fs::read(&back)? == big, "by scp {protocol}");
    }
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

/// Paths with what ssh, glob(3) and a shell make something of, by ssh's own reading of them.
fn odd_paths(home: &Home) -> Result<()> {
    for name in ["100% of $HOME", "a;b", "[x]*", "%h"] {
        let odd = home.path().join(name);
        let user = odd.join("user");
        std::fs::create_dir_all(&user)?;
        let run = |mut command: std::process::Command| {
            command.env("HOME", &user).env("BANGER_HOME", &odd);
            home.finish(command, Vec::new())?.ok()
        };
        run(home.command(["ssh-config", "--install"]))?;
        let mut ssh = home.program("ssh");
        ssh.arg("-F").arg(user.join(".ssh/config")).args(["-G", "web.vm"]);
        let read = run(ssh)?.text();
        let known = format!(
            "userknownhostsfile {}",
            odd.join("state/ssh/known_hosts").display()
        );
        ensure!(
            read.lines().any(|line| line == known),
            "{name}: no `{known}` in {read}"
        );
        let reach = format!("BANGER_HOME={}", odd.display().to_string().replace('%', "%%"));
        ensure!(read.contains(&reach), "{name}: no `{reach}` in {read}");
        ensure!(read.contains(" vm ssh-proxy -- '%h'"), "{read}");
        run(home.command(["daemon", "stop"]))?;
    }
    Ok(())
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
