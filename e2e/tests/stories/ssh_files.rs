//! Bytes and files by SSH: every byte of a stream, slow readers, sftp and scp, paths that are odd.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use banger_e2e::{Backend, Home, Image, Ssh};

use crate::ssh::VM;
use crate::{Scenario, everywhere, on_the_host};

pub(crate) const SCENARIOS: &[Scenario] = &[
    everywhere("ssh_carries_every_byte", every_byte).with("ssh"),
    on_the_host("a_slow_reader_stops_nobody", slow_reader).with("ssh"),
    everywhere("files_go_by_sftp_and_scp", files).with("sftp"),
];

/// Bytes of which none is like its neighbours.
fn bytes(count: usize) -> Vec<u8> {
    (0..count as u32 / 4)
        .flat_map(|word| word.wrapping_mul(0x9e37_79b9).to_le_bytes())
        .collect()
}

/// How many bytes a scenario carries. The test kernel of Firecracker on hosts without KVM of their own loses halves of AVX2's
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
    writing.join().expect("a scenario's thread")?;
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

/// Paths with what ssh, glob(3) and a shell make something of, by ssh's own reading of them.
pub(crate) fn odd_paths(home: &Home) -> Result<()> {
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
