//! What a hostile guest sends, and what it leaves on the host: nothing outside of where a copy goes.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use banger_cases::refused;
use banger_e2e::{Backend, Home, Image, USER_NAMESPACES, committed};

use crate::{Scenario, everywhere, on_the_host};

pub(crate) const SCENARIOS: &[Scenario] = &[
    on_the_host("a_link_of_one_copy_is_no_way_for_the_next", a_link_is_no_way),
    on_the_host("a_link_of_one_vm_leads_nowhere_in_another", between_vms),
    on_the_host("a_copy_does_not_fill_the_disk", a_full_disk).with(USER_NAMESPACES),
    on_the_host("a_sync_sends_what_git_would", what_git_would_send),
    on_the_host("no_output_takes_the_place_of_a_link_or_a_device", outputs),
    everywhere("files_whose_size_is_a_lie_are_copied_whole", sizes_that_lie),
];

fn sh(home: &Home, name: &str, line: &str) -> Result<String> {
    let args = ["vm", "exec", name, "-w", "/root", "--", "sh", "-c", line];
    Ok(home.banger(args)?.ok()?.text())
}

fn a_link_is_no_way(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "vm", &[])?;
    let dir = tempfile::tempdir()?;
    let here = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
    std::fs::create_dir(here("ssh"))?;
    std::fs::write(here("ssh/authorized_keys"), "mine")?;
    std::fs::write(here("bashrc"), "mine")?;
    let cp = |args: &[&str]| home.banger([&["vm", "cp"], args].concat());
    let unharmed = || -> Result<()> {
        for file in ["ssh/authorized_keys", "bashrc"] {
            ensure!(std::fs::read(here(file))? == b"mine", "{file} was replaced");
        }
        ensure!(
            std::fs::read_dir(here("ssh"))?.count() == 1,
            "something came beside it"
        );
        Ok(())
    };
    // A directory whose name the guest makes a link first, and a directory then.
    let (out, dst) = (here("ssh"), here("dst"));
    sh(
        &home,
        "vm",
        &format!(
            "mkdir out; ln -s {out} out/log; ln -s ../../ssh out/up; ln -s in out/in-link; touch out/in"
        ),
    )?;
    cp(&["vm:out", &dst])?
        .ok()?
        .saying("2 links were left out")?
        .saying("--links=keep")?;
    ensure!(!Path::new(&dst).join("log").is_symlink(), "the link was made");
    ensure!(
        Path::new(&dst).join("in-link").is_symlink(),
        "a link within was not made"
    );
    sh(
        &home,
        "vm",
        "rm out/log; mkdir out/log; echo evil > out/log/authorized_keys",
    )?;
    cp(&["vm:out/.", &dst])?.ok()?;
    unharmed()?;
    refused("host-files", "vm-cp.directory-link-then-directory");
    // The same name as a link first, and a file then.
    let (bashrc, notes) = (here("bashrc"), here("notes"));
    sh(&home, "vm", &format!("ln -s {bashrc} notes"))?;
    cp(&["vm:notes", &notes])?.ok()?.saying("1 link was left out")?;
    sh(&home, "vm", "rm notes; echo evil > notes")?;
    cp(&["vm:notes", &notes])?.ok()?;
    ensure!(std::fs::read(&notes)? == b"evil\n", "the file did not come");
    unharmed()?;
    refused("host-files", "vm-cp.file-link-then-file");
    // One that its user let in, or that is left of an earlier version, is no destination.
    for (name, target) in [("kept-file", &bashrc), ("kept-dir", &out)] {
        symlink(target, here(name))?;
        cp(&["vm:notes", &here(name)])?
            .failed()?
            .saying("symbolic link")?;
        cp(&["vm:out/log/.", &here(name)])?
            .failed()?
            .saying("symbolic link")?;
        unharmed()?;
        refused("host-files", &format!("vm-cp.destination-{name}"));
    }
    sh(&home, "vm", &format!("ln -s {out} kept"))?;
    cp(&["--links=keep", "vm:kept", &here("")])?.ok()?;
    ensure!(Path::new(&here("kept")).is_symlink(), "--links=keep");
    cp(&["--links=keep", "vm:out/log/.", &here("kept")])?
        .failed()?
        .saying("symbolic link")?;
    unharmed()?;
    refused("host-files", "vm-cp.destination-kept-link");
    // With a slash, the user's own link is meant.
    std::fs::create_dir(here("mine"))?;
    symlink(here("mine"), here("my-link"))?;
    cp(&["vm:notes", &format!("{}/", here("my-link"))])?.ok()?;
    cp(&["vm:out/.", &format!("{}/.", here("my-link"))])?.ok()?;
    ensure!(
        Path::new(&here("mine/notes")).is_file() && Path::new(&here("mine/in")).is_file(),
        "the user's own link"
    );
    home.end()
}

/// Devices, pipes and links at the place of an output.
fn outputs(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "vm", &[])?;
    let dir = tempfile::tempdir()?;
    let here = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
    let repo = committed(&[("a", "a\n")])?;
    let repo = repo.path().to_string_lossy();
    home.banger(["vm", "workspace", "prepare", "vm", &repo])?.ok()?;
    sh(&home, "vm", "echo b > repo/new; echo evil > f")?;
    let export = |to: &str| home.banger(["vm", "workspace", "export", "vm", "-o", to]);
    // A link, which an earlier copy may have made: neither followed nor replaced.
    std::fs::write(here("victim"), "mine")?;
    symlink(here("victim"), here("link"))?;
    export(&here("link"))?.failed()?.saying("is a symbolic link")?;
    ensure!(Path::new(&here("link")).is_symlink() && std::fs::read(here("victim"))? == b"mine");
    refused("host-files", "export.over-a-link");
    // The one device that anybody may make (mknod(2)) stays one.
    let (device, kind) = (here("device"), rustix::fs::FileType::CharacterDevice);
    rustix::fs::mknodat(rustix::fs::CWD, &device, kind, 0o600.into(), 0)?;
    for output in [export(&device)?, home.banger(["vm", "cp", "vm:f", &device])?] {
        output.failed()?;
        let now = std::fs::symlink_metadata(&device)?.file_type();
        ensure!(std::os::unix::fs::FileTypeExt::is_char_device(&now), "{now:?}");
    }
    refused("host-files", "export.over-a-device");
    refused("host-files", "vm-cp.over-a-device");
    // What takes bytes gets them.
    let pipe = here("pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        0o600.into(),
        0,
    )?;
    let reading = std::thread::spawn(move || std::fs::read_to_string(pipe));
    export(&here("pipe"))?.ok()?;
    let patch = reading.join().expect("a scenario's thread")?;
    ensure!(patch.contains("+++ b/new"), "{patch}");
    let printed = export("/dev/stdout")?.ok()?.text();
    ensure!(printed == patch.trim_end(), "{printed}");
    export(&here("patch"))?.ok()?;
    ensure!(std::fs::read_to_string(here("patch"))? == patch);
    home.end()
}

fn between_vms(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "one", &[])?;
    home.create(backend, Image::Busybox, "two", &[])?;
    sh(
        &home,
        "one",
        "mkdir t; ln -s /etc t/out; ln -s in t/link; touch t/in",
    )?;
    home.banger(["vm", "cp", "one:t", "two:"])?
        .ok()?
        .saying("1 link was left out")?;
    let seen = sh(&home, "two", "ls t")?;
    ensure!(seen.split_whitespace().eq(["in", "link"]), "{seen}");
    refused("host-files", "vm-cp.between-vms");
    home.banger(["vm", "cp", "--links=keep", "one:t", "two:kept"])?
        .ok()?;
    ensure!(sh(&home, "two", "ls kept")?.contains("out"), "--links=keep");
    home.end()
}

fn a_full_disk(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "vm", &[])?;
    sh(
        &home,
        "vm",
        "mkdir many; dd if=/dev/urandom of=big bs=1M count=80 2>/dev/null; cp big many/1; cp big many/2",
    )?;
    let dir = tempfile::tempdir()?;
    // A file system of its own, in a namespace that ends with the shell.
    for what in ["big", "many"] {
        let mut command = home.program("unshare");
        let script = "mount -t tmpfs -o size=64m none \"$1\" && \"$2\" vm cp -q \"vm:$3\" \"$1\" 2>&1; echo code $?; df -k \"$1\" | tail -1 | awk '{print \"left\", $4}'; ls \"$1\"";
        command.args(["-rm", "sh", "-c", script, "sh"]);
        command
            .arg(dir.path())
            .arg(home.programs().join("banger"))
            .arg(what);
        let said = home.finish(command, Vec::new())?.text();
        ensure!(said.contains("stay free") && !said.contains("code 0"), "{said}");
        let left = said
            .lines()
            .find_map(|line| line.strip_prefix("left ")?.parse::<u64>().ok());
        ensure!(left.is_some_and(|left| left > 4 << 10), "{said}");
        refused("host-files", &format!("vm-cp.full-disk.{what}"));
    }
    home.end()
}

fn what_git_would_send(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "vm", &[])?;
    let dir = tempfile::tempdir()?;
    let tree = dir.path();
    let git = |args: &[&str]| Command::new("git").arg("-C").arg(tree).args(args).output();
    git(&["init", "-q"])?;
    let files = [
        "m.js",
        "m.map",
        "m.{js,map}",
        "m.py",
        "m.py{}",
        "{{x}}.yml",
        "x.yml",
        "a{",
        "a",
        "[",
        "[a",
        "\\",
        "b ",
        "c",
        "d/e/f",
        "d/g",
        "kept.log",
        "x.log",
    ];
    std::fs::create_dir_all(tree.join("d/e"))?;
    for file in files {
        std::fs::write(tree.join(file), file)?;
    }
    let lines = "*.py{}\n*.{js,map}\n/{{x}}.yml\na{\n[\n\\\\\nb\\ \nc   \nd/**/f\n*.log\n!kept.log\n";
    std::fs::write(tree.join(".gitignore"), lines)?;
    let listed = git(&["ls-files", "-z", "-co", "--exclude-standard"])?.stdout;
    let mut theirs: Vec<_> = listed
        .split(|&byte| byte == 0)
        .filter(|path| !path.is_empty())
        .collect();
    theirs.sort_unstable();
    let what = format!("{}:app", tree.display());
    home.banger(["vm", "sync", "vm", &what])?.ok()?;
    let ours = sh(&home, "vm", "cd app; find . -type f -print | sed 's,^./,,'")?;
    let mut ours: Vec<_> = ours.lines().map(str::as_bytes).collect();
    ours.sort_unstable();
    ensure!(
        ours == theirs,
        "sent {:?}, git has {:?}",
        String::from_utf8_lossy(&ours.join(&b'|')),
        String::from_utf8_lossy(&theirs.join(&b'|'))
    );
    home.end()
}

fn sizes_that_lie(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "vm", &[])?;
    let dir = tempfile::tempdir()?;
    let here = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
    home.banger(["vm", "cp", "/proc/cpuinfo", "vm:cpuinfo"])?.ok()?;
    let lines: usize = sh(&home, "vm", "grep -c '^processor' cpuinfo")?.trim().parse()?;
    ensure!(lines > 0, "no processors");
    if backend.is_real() {
        home.banger(["vm", "cp", "vm:/proc/version", &here("v")])?.ok()?;
        let version = std::fs::read_to_string(here("v"))?;
        ensure!(
            version.trim() == sh(&home, "vm", "cat /proc/version")?.trim(),
            "{version:?}"
        );
        home.banger(["vm", "cp", "vm:/proc/sys/kernel", &here("kernel")])?
            .ok()?;
        let kind = std::fs::read_to_string(here("kernel/ostype"))?;
        ensure!(kind == "Linux\n", "{kind:?}");
    }
    home.end()
}
