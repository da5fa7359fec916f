//! Images made of what VMs have changed.

use anyhow::{Result, ensure};
use banger_e2e::{Backend, Home, Image};

use crate::{Scenario, in_guests, on_the_host};

pub(crate) const SCENARIOS: &[Scenario] = &[
    in_guests(
        "a_vm_is_committed_running_stopped_and_killed",
        committed_in_every_phase,
    ),
    in_guests("a_committed_disk_is_whole_while_the_guest_writes", a_busy_guest),
    in_guests("vms_of_a_committed_image_are_machines_of_their_own", of_their_own),
    in_guests("an_image_is_built_by_a_script", built_by_a_script),
    in_guests("an_image_is_built_of_a_dockerfile", built_of_a_dockerfile).with("buildah"),
    on_the_host("a_dockerfile_needs_buildah", without_buildah),
    on_the_host("what_nobody_uses_is_pruned", what_nobody_uses),
];

/// A name for an image of this scenario: the store is shared with other scenarios, and outlives those that fail.
fn named(what: &str, backend: Backend) -> String {
    format!("{what}-{}", backend.name())
}

fn create(home: &Home, backend: Backend, image: &str, vm: &str) -> Result<()> {
    let mut args = vec!["vm", "create", "--name", vm, "--image", image, "--memory", "512M"];
    args.extend(backend.options());
    home.banger(args)?.ok().map(drop)
}

fn committed_in_every_phase(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    let (running, stopped, killed) = (
        named("running", backend),
        named("stopped", backend),
        named("killed", backend),
    );
    home.create(backend, Image::Busybox, "vm", &[])?;
    home.sh("vm", "mkdir /etc/mine && echo one > /etc/mine/a && rm /bin/wget")?;
    home.banger(["vm", "commit", "vm", "--force", "--name", &running])?
        .ok()?;
    // It has gone on.
    home.sh(
        "vm",
        "echo two > /etc/mine/a && rm -r /home 2>/dev/null; echo 1 > /etc/b",
    )?;
    home.banger(["vm", "stop", "vm"])?.ok()?;
    home.banger(["vm", "commit", "vm", "--force", "--name", &stopped])?
        .ok()?;
    home.banger(["vm", "start", "vm"])?.ok()?;
    home.sh("vm", "echo three > /etc/mine/a && sync")?;
    home.banger(["vm", "kill", "vm"])?.ok()?;
    home.banger(["vm", "commit", "vm", "--force", "--name", &killed])?
        .ok()?;
    ensure!(
        home.vm("vm")?.machine.is_none(),
        "it was started for the commit, and stays"
    );
    for (image, told) in [(&running, "one"), (&stopped, "two"), (&killed, "three")] {
        create(&home, backend, image, "check")?;
        let seen = home.sh("check", "cat /etc/mine/a; test -e /bin/wget || echo gone")?;
        ensure!(seen == format!("{told}\ngone"), "{image}: {seen}");
        home.banger(["vm", "delete", "-f", "check"])?.ok()?;
    }
    home.banger(["vm", "delete", "-f", "vm"])?.ok()?;
    for image in [&running, &stopped, &killed] {
        home.banger(["image", "delete", image])?.ok()?;
    }
    home.end()
}

fn of_their_own(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    let image = named("own", backend);
    home.create(backend, Image::Busybox, "origin", &[])?;
    home.sh(
        "origin",
        "mkdir -p /var/lib/systemd /var/lib/dhcp; echo seed > /var/lib/systemd/random-seed; \
         echo lease > /var/lib/dhcp/dhclient.leases; echo mine > /etc/mine; echo 10.0.0.1 db >> /etc/hosts",
    )?;
    let id = home.sh("origin", "cat /etc/machine-id")?;
    home.banger(["vm", "commit", "origin", "--force", "--name", &image])?
        .ok()?;
    let mut ids = vec![id];
    for name in ["one", "two"] {
        create(&home, backend, &image, name)?;
        let left = "cat /etc/mine; hostname; cat /etc/hostname; grep -c '10.0.0.1 db' /etc/hosts; \
                    grep -c origin /etc/hosts; cat /var/lib/systemd/* /var/lib/dhcp/* 2>/dev/null | wc -l";
        let seen = home.sh(name, left)?;
        let lines: Vec<&str> = seen.lines().collect();
        ensure!(lines == ["mine", name, name, "1", "0", "0"], "{seen}");
        ids.push(home.sh(name, "cat /etc/machine-id")?);
    }
    // Over a restart, too.
    for (name, id) in ["origin", "one"].into_iter().zip(&ids) {
        home.banger(["vm", "stop", name])?.ok()?;
        home.banger(["vm", "start", name])?.ok()?;
        ensure!(
            home.sh(name, "cat /etc/machine-id")? == *id,
            "{name} is another now"
        );
    }
    ensure!(
        ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2] && ids.iter().all(|id| id.len() == 32),
        "{ids:?}"
    );
    home.banger(["vm", "delete", "-f", "origin", "one", "two"])?
        .ok()?;
    home.banger(["image", "delete", &image])?.ok()?;
    home.end()
}

fn a_busy_guest(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    let image = named("busy", backend);
    home.create(backend, Image::Busybox, "vm", &[])?;
    home.sh(
        "vm",
        "(i=0; while :; do i=$((i+1)); echo $i > /root/n.new; mv /root/n.new /root/n; done) >/dev/null 2>&1 & \
         until [ -e /root/n ]; do :; done",
    )?;
    home.banger(["vm", "commit", "vm", "--force", "--name", &image])?
        .ok()?;
    create(&home, backend, &image, "check")?;
    let number = home.sh("check", "cat /root/n")?;
    ensure!(number.parse::<u64>().is_ok(), "{number:?}");
    // The first one has not stood still since.
    let before = home.sh("vm", "cat /root/n")?;
    let after = home.sh("vm", "sleep 1; cat /root/n")?;
    ensure!(before != after, "the guest stands still at {before}");
    home.banger(["vm", "delete", "-f", "vm", "check"])?.ok()?;
    home.banger(["image", "delete", &image])?.ok()?;
    home.end()
}

fn built_by_a_script(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    let (built, refused) = (named("built", backend), named("refused", backend));
    // `image build` asks for no VMM; the configuration may.
    home.prefer(backend)?;
    let build = |name: &str, script: &str| {
        let args = [
            "image",
            "build",
            "--force",
            "--name",
            name,
            "--from-image",
            "busybox",
            "--script",
            "-",
        ];
        home.banger_with(args, script.as_bytes().to_vec())
    };
    // Longer than any argument of a program.
    let long = "# nothing to be done here\n".repeat(12 << 10);
    let output = build(&built, &format!("echo working\n{long}echo ready > /etc/built\n"))?.ok()?;
    ensure!(output.text().starts_with("working\n"), "{}", output.text());
    let by_awk = "#!/bin/awk -f\nBEGIN { print \"by awk\"; exit 8 }\n";
    let output = build(&refused, by_awk)?.exited(8)?;
    ensure!(output.text() == "by awk", "{}", output.text());
    build(&refused, "echo going >&2\nexit 7\n")?
        .exited(7)?
        .saying("going")?;
    // A command that fails ends it, too.
    let output = build(&refused, "false\necho on\n")?.exited(1)?;
    ensure!(output.text().is_empty(), "{}", output.text());
    home.banger(["image", "show", &refused])?.exited(3)?;
    ensure!(home.banger(["vm", "list", "--quiet"])?.ok()?.text().is_empty());
    create(&home, backend, &built, "check")?;
    ensure!(home.sh("check", "cat /etc/built")? == "ready");
    ensure!(home.sh("check", "ls -A /run")?.find("build").is_none());
    home.banger(["image", "delete", &built])?.exited(4)?;
    home.banger(["vm", "delete", "-f", "check"])?.ok()?;
    // As JSON there is nothing on standard output but that.
    let mut quiet = vec![
        "image",
        "build",
        "--force",
        "--name",
        &built,
        "--from-image",
        "busybox",
    ];
    quiet.extend(["--json", "--script", "-"]);
    for script in ["echo working\n", "#!/bin/sh\necho working\n"] {
        let output = home.banger_with(&quiet, script.into())?.ok()?.saying("working")?;
        let image: serde_json::Value = serde_json::from_str(&output.text())?;
        ensure!(image["name"] == *built, "{image}");
    }
    home.banger(["image", "delete", &built])?.ok()?;
    home.end()
}

/// A directory with a program, and a Dockerfile of an image that has nothing else.
fn dockerfile() -> Result<tempfile::TempDir> {
    let dir = tempfile::tempdir()?;
    std::fs::copy("/bin/busybox", dir.path().join("busybox"))?;
    std::fs::write(
        dir.path().join("Dockerfile"),
        "FROM scratch\nCOPY busybox /bin/busybox\nENV GREETING=\"hello there\"\nWORKDIR /srv\n\
         ENTRYPOINT [\"/bin/busybox\", \"sh\", \"-c\"]\nCMD [\"echo $GREETING from $PWD\"]\n",
    )?;
    Ok(dir)
}

fn built_of_a_dockerfile(backend: Backend) -> Result<()> {
    // Its own images, and none of the host's.
    let storage = tempfile::tempdir()?;
    let place = |name: &str| storage.path().join(name).display().to_string();
    let config = format!(
        "[storage]\ndriver = \"vfs\"\ngraphroot = \"{}\"\nrunroot = \"{}\"\n",
        place("graph"),
        place("run")
    );
    std::fs::write(place("storage.conf"), config)?;
    let home = Home::new(&[])?.with_env("CONTAINERS_STORAGE_CONF", &place("storage.conf"));
    let (built, refused) = (named("dockerfile", backend), named("no-dockerfile", backend));
    let dir = dockerfile()?;
    let file = dir.path().join("Dockerfile").display().to_string();
    let context = dir.path().display().to_string();
    let build = |name: &str| {
        let args = [
            "image", "build", "--force", "--name", name, "--file", &file, &context,
        ];
        home.banger(args)
    };
    build(&built)?.ok()?;
    let nowhere = tempfile::tempdir()?;
    let nowhere = nowhere.path().display().to_string();
    let mut run = vec!["vm", "run", "--rm", "--image", &built, "--memory", "512M"];
    run.extend(backend.options());
    run.push(&nowhere);
    let output = home.banger(run)?.ok()?;
    ensure!(output.text().ends_with("hello there from /srv"), "{output:?}");
    home.banger(["image", "rm", &built])?.ok()?;
    // What buildah says is shown, and nothing is left.
    std::fs::write(&file, "FROM scratch\nCOPY nothing /\n")?;
    build(&refused)?
        .exited(1)?
        .saying("nothing")?
        .saying("buildah build failed")?;
    home.banger(["image", "show", &refused])?.exited(3)?;
    home.end()
}

fn without_buildah(_: Backend) -> Result<()> {
    let home = Home::bare()?;
    home.banger(["image", "list"])?.ok()?;
    let dir = dockerfile()?;
    let file = dir.path().join("Dockerfile").display().to_string();
    let mut build = home.command(["image", "build", "--name", "i", "--file", &file]);
    build.env("PATH", dir.path());
    let output = build.output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        !output.status.success() && said.contains("apt-get install buildah"),
        "{said}"
    );
    home.end()
}

fn what_nobody_uses(_: Backend) -> Result<()> {
    let home = Home::bare()?;
    let dir = tempfile::tempdir()?;
    let (tree, vmlinux) = (dir.path().join("tree"), dir.path().join("vmlinux"));
    std::fs::create_dir(&tree)?;
    std::fs::write(tree.join("file"), "content")?;
    let program = std::fs::read("/bin/busybox")?;
    std::fs::write(&vmlinux, [&program[..], b"Linux version 0 "].concat())?;
    let (tree, vmlinux) = (tree.to_string_lossy(), vmlinux.to_string_lossy());
    let names = |what: &str| -> Result<Vec<String>> {
        let listed = home.banger([what, "list", "--json"])?.ok()?.text();
        let all: Vec<serde_json::Value> = serde_json::from_str(&listed)?;
        Ok(all
            .iter()
            .filter_map(|one| one["name"].as_str().map(str::to_owned))
            .collect())
    };
    for image in ["used", "unused"] {
        home.banger(["image", "import", "--name", image, &tree])?.ok()?;
    }
    for kernel in ["old", "new"] {
        home.banger(["kernel", "import", kernel, "--vmlinux", &vmlinux])?
            .ok()?;
    }
    home.banger(["image", "tag", "used", "again"])?.ok()?;
    home.banger(["image", "tag", "used", "unused"])?
        .exited(4)?
        .saying("already exists")?;
    home.banger(["image", "tag", "none", "some"])?.exited(3)?;
    home.banger([
        "vm",
        "create",
        "--name",
        "vm",
        "--image",
        "again",
        "--kernel",
        "new",
        "--no-start",
    ])?
    .ok()?;
    let inspected = home.banger(["image", "inspect", "used"])?.ok()?.text();
    let inspected: serde_json::Value = serde_json::from_str(&inspected)?;
    ensure!(inspected["image"]["name"] == "used" && inspected["manifest"].is_null());
    // The default ones stay, however they became so, and so does an image that is nowhere else: it was imported.
    home.banger(["kernel", "prune", "--yes"])?.ok()?;
    home.banger(["image", "prune", "--yes"])?
        .ok()?
        .saying("image `unused` may not be available elsewhere")?
        .saying("banger image rm unused")?;
    ensure!(names("image")? == ["again", "unused", "used"] && names("kernel")? == ["new", "old"]);
    home.banger(["kernel", "default", "new"])?.ok()?;
    home.banger(["kernel", "prune", "--yes"])?
        .ok()?
        .saying("kernel `old` may not be available elsewhere")?;
    let more = ["--all"];
    for what in ["image", "kernel"] {
        let before = names(what)?;
        let prune = |option: &str| home.banger([&[what, "prune", option], &more[..]].concat());
        prune("--dry-run")?.ok()?.saying("would be freed")?;
        home.banger([&[what, "prune"], &more[..]].concat())?
            .exited(1)?
            .saying("--yes")?;
        ensure!(names(what)? == before);
        prune("--yes")?.ok()?;
    }
    // Both names are of what the VM boots.
    ensure!(names("image")? == ["again", "used"] && names("kernel")? == ["new"]);
    // One of them may go, even that by which the VM was made; the last one stays with the VM.
    home.banger(["image", "rm", "again"])?.ok()?;
    home.banger(["image", "rm", "used"])?
        .exited(4)?
        .saying("is used by vm")?;
    ensure!(names("image")? == ["used"]);
    home.banger(["image", "prune", "--yes"])?.ok()?;
    home.banger(["cache", "prune"])?.ok()?.saying("empty")?;
    home.banger(["vm", "delete", "vm"])?.ok()?;
    home.banger(["image", "prune", "--all", "--yes"])?.ok()?;
    ensure!(names("image")? == ["used"], "it is the default one");
    home.banger(["image", "rm", "used"])?.ok()?;
    home.end()
}
