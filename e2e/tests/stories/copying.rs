//! Files into guests, out of them, and kept the same.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use banger_e2e::{Backend, Home, Image};
use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

use crate::{Scenario, everywhere};

pub(crate) const SCENARIOS: &[Scenario] = &[
    everywhere("an_awkward_tree_goes_in_and_comes_back_equal", an_awkward_tree),
    everywhere("a_copy_goes_where_cp_would_put_it", where_cp_would_put_it),
    everywhere("archives_go_through_pipes_and_between_vms", pipes_and_vms),
];

/// What a tree is, by a program that is not ours.
fn described(dir: &Path) -> Result<String> {
    let format = "%P %y %m %U:%G %s %T@ %l %n\\0";
    let found = Command::new("find")
        .args([".", "-printf", format])
        .current_dir(dir)
        .output()?;
    ensure!(
        found.status.success(),
        "{}",
        String::from_utf8_lossy(&found.stderr)
    );
    let mut lines: Vec<_> = found
        .stdout
        .split(|&byte| byte == 0)
        .map(|line| line.escape_ascii().to_string())
        .collect();
    lines.sort();
    Ok(lines.join("\n"))
}

/// Names of any bytes, links of both kinds, holes, times between seconds, modes, attributes, a named pipe.
fn awkward(dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir.join("deep/er/still"))?;
    std::fs::create_dir(dir.join("empty"))?;
    for name in [
        &b"new\nline"[..],
        b"not \xff\xfe UTF-8",
        b"-rf",
        b"sp ace",
        &[b'n'; 255],
        "umlaut-\u{e4}".as_bytes(),
    ] {
        std::fs::write(dir.join(OsStr::from_bytes(name)), name)?;
    }
    let sparse = File::create(dir.join("sparse"))?;
    sparse.set_len(3 << 30)?;
    sparse.write_all_at(b"middle", 1 << 30)?;
    sparse.write_all_at(b"after", (2 << 30) + 4096)?;
    std::fs::write(dir.join("deep/er/large"), vec![7; 3 << 20])?;
    std::fs::hard_link(dir.join("deep/er/large"), dir.join("linked"))?;
    symlink("deep/er", dir.join("relative"))?;
    symlink("/nowhere/at all", dir.join("dangling"))?;
    std::fs::set_permissions(dir.join("-rf"), PermissionsExt::from_mode(0o4711))?;
    std::fs::set_permissions(dir.join("empty"), PermissionsExt::from_mode(0o1500))?;
    let time = std::time::UNIX_EPOCH + std::time::Duration::new(1_234_567_890, 123_456_789);
    File::open(dir.join("sp ace"))?.set_modified(time)?;
    File::open(dir.join("deep"))?.set_modified(time)?;
    let made = Command::new("mkfifo").arg(dir.join("pipe")).status()?;
    ensure!(made.success(), "mkfifo");
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::lchown(dir.join("relative"), Some(12), Some(34))?;
        std::os::unix::fs::chown(dir.join("deep/er"), Some(1000), Some(4_000_000_000))?;
    }
    Ok(())
}

/// A line of shell where relative paths of a copy begin.
pub(crate) fn sh(home: &Home, name: &str, line: &str) -> Result<String> {
    let args = ["vm", "exec", name, "-w", "/root", "--", "sh", "-c", line];
    Ok(home.banger(args)?.ok()?.text())
}

pub(crate) fn place(path: &Path) -> &OsStr {
    path.as_os_str()
}

fn an_awkward_tree(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "vm", &[])?;
    let dir = tempfile::tempdir()?;
    let (tree, back) = (dir.path().join("tree"), dir.path().join("back"));
    awkward(&tree)?;
    let before = described(&tree)?;
    let cp = |args: &[&OsStr]| -> Result<()> {
        let all = ["vm", "cp", "-a", "--links=keep"].map(OsStr::new);
        home.banger([&all[..], args].concat())?.ok()?;
        Ok(())
    };
    cp(&[place(&tree), OsStr::new("vm:")])?;
    let blocks: u64 = home.sh("vm", "du -k tree/sparse | cut -f1")?.trim().parse()?;
    ensure!(blocks < 1024, "the sparse file takes {blocks} KiB");
    cp(&[OsStr::new("vm:tree"), place(&back)])?;
    ensure!(described(&tree)? == before, "the source was touched");
    let after = described(&back)?;
    ensure!(after == before, "before:\n{before}\nafter:\n{after}");
    let differs = Command::new("diff")
        // Gigabytes of holes are compared by what is between them.
        .args(["-r", "--no-dereference", "--exclude=sparse"])
        .arg(&tree)
        .arg(&back)
        .output()?;
    let differs = String::from_utf8_lossy(&differs.stdout).into_owned();
    // It says of a pipe that it is one.
    ensure!(differs.lines().all(|line| line.contains("fifo")), "{differs}");
    same_data(&tree.join("sparse"), &back.join("sparse"))?;
    let sparse = std::fs::metadata(back.join("sparse"))?;
    ensure!(
        sparse.blocks() * 512 < 1 << 20,
        "{} blocks came back",
        sparse.blocks()
    );
    // Without -a, nothing is set-user-id, and a pipe stays behind, which is said.
    let plain = [
        OsStr::new("vm"),
        OsStr::new("cp"),
        place(&tree),
        OsStr::new("vm:plain"),
    ];
    home.banger(plain)?.ok()?.saying("it is a named pipe")?;
    ensure!(
        sh(&home, "vm", "stat -c %a -- plain/-rf")?.trim() == "711",
        "set-user-id"
    );
    home.end()
}

/// Compares two files wherever one of them has more than a hole.
fn same_data(one: &Path, other: &Path) -> Result<()> {
    let files = [File::open(one)?, File::open(other)?];
    for of in &files {
        let mut at = 0;
        while let Some(data) = next(of, SeekFrom::Data(at))? {
            at = next(of, SeekFrom::Hole(data))?.context("no hole at the end")?;
            let read = |file: &File| -> Result<Vec<u8>> {
                let mut bytes = vec![0; usize::try_from(at - data)?];
                file.read_exact_at(&mut bytes, data)?;
                Ok(bytes)
            };
            ensure!(
                read(&files[0])? == read(&files[1])?,
                "they differ in {data}..{at}"
            );
        }
    }
    Ok(())
}

/// The next place of a kind; nothing where no data follows.
fn next(file: &File, from: SeekFrom) -> Result<Option<u64>> {
    match seek(file, from) {
        Ok(at) => Ok(Some(at)),
        Err(Errno::NXIO) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn where_cp_would_put_it(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "vm", &[])?;
    let dir = tempfile::tempdir()?;
    let here = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
    std::fs::create_dir(here("d"))?;
    std::fs::write(here("d/a"), "a")?;
    std::fs::write(here("f"), "f")?;
    sh(&home, "vm", "mkdir t")?;
    let cp = |args: &[&str]| home.banger([&["vm", "cp"], args].concat());
    cp(&[&here("f"), "vm:"])?.ok()?.saying("copied 1 entry, 1 B")?;
    cp(&[&here("f"), "vm:t/g"])?.ok()?;
    cp(&["-q", &here("d"), &here("f"), "vm:t"])?.ok()?;
    cp(&[&here("d/."), "vm:t/e"])?.ok()?;
    cp(&[&here("d"), "vm:t/e"])?.ok()?;
    let seen = sh(&home, "vm", "cat f; cd t; cat g d/a f e/a e/d/a")?;
    ensure!(seen.trim() == "ffafaa", "{seen}");
    // The fake guest is this user, who may give files to others only as root.
    if backend.is_real() || rustix::process::geteuid().is_root() {
        cp(&["--owner", "12:34", &here("f"), "vm:t/owned"])?.ok()?;
    }
    if backend.is_real() {
        ensure!(
            sh(&home, "vm", "stat -c %u:%g t/owned")?.trim() == "12:34",
            "the owner"
        );
    }
    // Out again.
    cp(&["vm:t/e/.", &here("out")])?.ok()?;
    ensure!(std::fs::read(here("out/d/a"))? == b"a", "what came out");
    cp(&["vm:t/g", "vm:t/d", &here("out")])?.ok()?;
    ensure!(std::fs::read(here("out/g"))? == b"f", "what came out");
    // A guest's link at the destination's side is not followed below it.
    symlink("/etc", here("out/link"))?;
    sh(&home, "vm", "mkdir -p t/h/link && echo evil > t/h/link/x")?;
    cp(&["vm:t/h/.", &here("out")])?
        .failed()?
        .saying("symbolic link")?;
    ensure!(!Path::new("/etc/x").exists(), "it went through the link");
    // Errors name the file.
    cp(&[&here("none"), "vm:"])?.failed()?.saying("/none")?;
    cp(&["vm:t/none", &here("x")])?.failed()?.saying("t/none")?;
    cp(&[&here("f"), "vm:t/none/f"])?
        .failed()?
        .saying("there is no directory")?;
    cp(&[&here("f"), &here("d"), "vm:t/g"])?
        .failed()?
        .saying("is not a directory")?;
    cp(&[&here("f"), &here("x")])?
        .failed()?
        .saying("neither source nor destination is in a VM")?;
    cp(&[&here("f"), "nobody:"])?.exited(3)?;
    home.end()
}

fn pipes_and_vms(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "one", &[])?;
    let dir = tempfile::tempdir()?;
    std::fs::write(dir.path().join("f"), "through a pipe")?;
    let tar = tar_of_f(dir.path())?;
    home.banger_with(["vm", "cp", "-", "one:"], tar)?.ok()?;
    let out = home.banger(["vm", "cp", "-q", "one:f", "-"])?.ok()?;
    let mut tar = Command::new("tar")
        .args(["-x", "-O"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    tar.stdin.take().context("tar's input")?.write_all(&out.stdout)?;
    let mut seen = String::new();
    tar.stdout
        .take()
        .context("tar's output")?
        .read_to_string(&mut seen)?;
    tar.wait()?;
    ensure!(seen == "through a pipe", "{seen}");
    // Two emulated guests at once take long, and show nothing more.
    if backend != Backend::Tcg {
        home.create(backend, Image::Busybox, "two", &[])?;
        home.banger(["vm", "cp", "one:f", "two:g"])?.ok()?;
        ensure!(
            sh(&home, "two", "cat g")?.trim() == "through a pipe",
            "between VMs"
        );
        home.banger(["vm", "cp", "one:/none", "two:"])?
            .failed()?
            .saying("/none")?;
    }
    home.end()
}

/// The file `f` of a directory, by a program that is not ours.
pub(crate) fn tar_of_f(dir: &Path) -> Result<Vec<u8>> {
    let tar = Command::new("tar")
        .args(["-c", "-C"])
        .arg(dir)
        .arg("f")
        .output()?;
    Ok(tar.stdout)
}
