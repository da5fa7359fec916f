//! Images and kernels through the command line.

use std::path::Path;

use anyhow::{Result, ensure};
use banger_e2e::{Backend, Home};

use crate::{Scenario, on_the_host};

pub(crate) const SCENARIOS: &[Scenario] = &[
    on_the_host("bad_archives_are_told_and_leave_nothing", bad_archives),
    on_the_host("an_image_in_use_cannot_be_deleted_but_replaced", an_image_in_use),
    on_the_host("an_ext4_file_is_registered_and_promoted", an_ext4_file),
    on_the_host("what_is_no_kernel_is_refused", what_is_no_kernel),
];

/// A tar with one entry whose name is written by hand, as a malicious one would be.
pub(crate) fn tar(name: &str, content: &[u8]) -> Vec<u8> {
    let mut header = [0_u8; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[100..107].copy_from_slice(b"0000644");
    header[108..115].copy_from_slice(b"0000000");
    header[116..123].copy_from_slice(b"0000000");
    header[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
    header[136..147].copy_from_slice(b"00000000000");
    header[156] = b'0';
    header[257..265].copy_from_slice(b"ustar\x0000");
    header[148..156].copy_from_slice(b"        ");
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    let mut tar = header.to_vec();
    tar.extend_from_slice(content);
    tar.resize(tar.len().next_multiple_of(512), 0);
    tar
}

pub(crate) const END: [u8; 1024] = [0; 1024];

fn bad_archives(_: Backend) -> Result<()> {
    let home = Home::bare()?;
    let whole = |name: &str| [&tar(name, b"content")[..], &END].concat();
    let mut broken = whole("a");
    broken[0] = b'b';
    for (bytes, words) in [
        (whole("/etc/passwd"), "absolute path"),
        (whole("../../etc/passwd"), "leads out of the image"),
        (tar("a", b"content"), "truncated"),
        (tar("a", &[1; 5000])[..2000].to_vec(), "truncated"),
        (broken, "read the archive"),
        (END.to_vec(), "no entries"),
        (b"this is no archive at all".to_vec(), "truncated"),
        (
            vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1, 2, 3],
            "read the archive",
        ),
    ] {
        home.banger_with(["image", "import", "--name", "bad", "-"], bytes)?
            .exited(1)?
            .saying(words)?;
        ensure!(
            files_in(&home.path().join("data/images"))? == ["lock"],
            "after `{words}`"
        );
    }
    home.banger_with(["image", "import", "--name", "good", "-"], whole("./a"))?
        .ok()?;
    home.banger_with(["image", "import", "--name", "good", "-"], whole("./a"))?
        .exited(4)?
        .saying("--force")?;
    home.end()
}

/// The files below a directory, by name.
pub(crate) fn files_in(dir: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir)?.flatten() {
        if entry.file_type()?.is_dir() {
            names.extend(files_in(&entry.path())?);
        } else {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.retain(|name| name != "lock");
    names.push("lock".to_owned());
    Ok(names)
}

/// Any executable with a kernel's banner is a kernel until it boots.
fn vmlinux(dir: &Path) -> Result<String> {
    let path = dir.join("vmlinux");
    let program = std::fs::read("/bin/busybox")?;
    std::fs::write(&path, [&program[..], b"Linux version 0 "].concat())?;
    Ok(path.to_string_lossy().into_owned())
}

pub(crate) fn kernel(home: &Home) -> Result<()> {
    let dir = tempfile::tempdir()?;
    home.banger(["kernel", "import", "k", "--vmlinux", &vmlinux(dir.path())?])?
        .ok()
        .map(drop)
}

fn an_image_in_use(_: Backend) -> Result<()> {
    let home = Home::bare()?;
    kernel(&home)?;
    let import = |force: &[&str], name: &str| {
        let tar = [&tar(name, b"content")[..], &END].concat();
        home.banger_with(["image", "import", "--name", "i", "-"].iter().chain(force), tar)?
            .ok()
    };
    import(&[], "a")?;
    home.banger(["vm", "create", "--name", "vm", "--no-start"])?
        .ok()?;
    home.banger(["image", "delete", "i"])?
        .exited(4)?
        .saying("is used by vm")?;
    home.banger(["kernel", "rm", "k"])?
        .exited(4)?
        .saying("is used by vm")?;
    let generations =
        || -> Result<usize> { Ok(std::fs::read_dir(home.path().join("data/images/g"))?.count()) };
    import(&["--force"], "b")?;
    ensure!(generations()? == 2, "the VM's files went");
    home.banger(["vm", "delete", "vm"])?.ok()?;
    import(&["--force"], "c")?;
    ensure!(generations()? == 1, "{} generations are left", generations()?);
    home.banger(["image", "delete", "i"])?.ok()?;
    ensure!(generations()? == 0);
    home.banger(["image", "show", "i"])?.exited(3)?;
    home.end()
}

fn an_ext4_file(_: Backend) -> Result<()> {
    let home = Home::bare()?;
    kernel(&home)?;
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("root.ext4");
    let made = std::process::Command::new("mke2fs")
        .args(["-q", "-t", "ext4"])
        .arg(&path)
        .arg("8M")
        .status()?;
    ensure!(made.success(), "mke2fs");
    let path = path.to_string_lossy().into_owned();
    home.banger([
        "image",
        "register",
        "--name",
        "r",
        "--rootfs",
        &path,
        "--kernel-ref",
        "k",
    ])?
    .ok()?;
    home.banger(["image", "register", "--name", "x", "--rootfs", "/bin/busybox"])?
        .exited(1)?
        .saying("as an image")?;
    home.banger(["image", "promote", "r"])?.ok()?;
    std::fs::remove_file(&path)?;
    let shown = home.banger(["image", "show", "r"])?.ok()?.text();
    ensure!(shown.contains("in banger's store"), "{shown}");
    home.banger(["vm", "create", "--image", "r", "--name", "vm", "--no-start"])?
        .ok()?;
    home.end()
}

fn what_is_no_kernel(_: Backend) -> Result<()> {
    let home = Home::bare()?;
    let dir = tempfile::tempdir()?;
    let file = |name: &str, text: &str| -> Result<String> {
        let path = dir.path().join(name);
        std::fs::write(&path, text)?;
        Ok(path.to_string_lossy().into_owned())
    };
    let text = file("text", "hello")?;
    home.banger(["kernel", "import", "k", "--vmlinuz", &text])?
        .exited(1)?
        .saying("neither an ELF nor a bzImage")?;
    home.banger(["kernel", "import", "k", "--vmlinux", "/bin/ls"])?
        .exited(1)?
        .saying("not a Linux kernel")?;
    home.banger(["kernel", "import", "k", "--deb", &text])?
        .exited(1)?
        .saying("Debian package")?;
    let config = file("config", "CONFIG_UNIX=y\n")?;
    let vmlinux = vmlinux(dir.path())?;
    let lacking = [
        "kernel",
        "import",
        "k",
        "--vmlinux",
        &vmlinux,
        "--config",
        &config,
    ];
    home.banger(lacking)?.exited(1)?.saying("CONFIG_VIRTIO_BLK")?;
    ensure!(home.banger(["kernel", "list", "--json"])?.ok()?.text() == "[]");
    home.end()
}
