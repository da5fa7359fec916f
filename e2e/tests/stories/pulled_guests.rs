//! Pulled images in guests.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, ensure};
use banger_e2e::{Backend, Home, OciImage, Output, Registry, committed, fill_with_busybox};

use crate::images::{END, tar};
use crate::pulling::pull;
use crate::{Scenario, in_guests};

pub(crate) const SCENARIOS: &[Scenario] = &[
    in_guests("a_pulled_image_runs_as_its_maker_says", as_its_maker_says),
    in_guests("a_pulled_image_needs_no_shell", no_shell),
    in_guests("a_checkout_belongs_to_the_images_user", checkout_of_its_user),
];

/// A layer with busybox, an account, and a directory of its own.
pub(crate) fn busybox_layer() -> Result<Vec<u8>> {
    let dir = tempfile::tempdir()?;
    fill_with_busybox(dir.path())?;
    for made in ["etc", "srv/work", "tmp"] {
        std::fs::create_dir_all(dir.path().join(made))?;
    }
    std::fs::write(
        dir.path().join("etc/passwd"),
        "root:x:0:0::/root:/bin/sh\nmaker:x:1234:1235::/srv:/bin/sh\n",
    )?;
    std::fs::write(dir.path().join("etc/group"), "root:x:0:\nmakers:x:1235:\n")?;
    let packed = Command::new("tar")
        .args(["-c", "--owner=0", "--group=0", "-C"])
        .arg(dir.path())
        .arg(".")
        .output()?;
    ensure!(packed.status.success(), "tar");
    Ok(packed.stdout)
}

/// A home with the backend's kernel, and an image under a name that no other scenario has.
fn pulled(backend: Backend, image: &OciImage, name: &str) -> Result<(Home, String)> {
    let registry = Registry::open()?;
    registry.push(image, "x")?;
    let home = Home::new(&[])?.with_env("NO_PROXY", "127.0.0.1");
    let name = format!("{name}-{}", backend.name());
    pull(&home, &registry.reference("x"), &["--force", "--name", &name])?.ok()?;
    Ok((home, name))
}

/// `banger vm run` of an image, away from any repository.
fn run(home: &Home, backend: Backend, image: &str, more: &[&str]) -> Result<Output> {
    let nowhere: PathBuf = tempfile::tempdir()?.keep();
    let place = nowhere.display().to_string();
    let mut args = vec!["vm", "run", "--image", image, "--memory", "512M"];
    args.extend(backend.options());
    args.extend(more.iter().take_while(|word| **word != "--"));
    args.push(&place);
    args.extend(more.iter().skip_while(|word| **word != "--"));
    let output = home.banger(args);
    std::fs::remove_dir(&nowhere)?;
    output
}

fn as_its_maker_says(backend: Backend) -> Result<()> {
    let image = OciImage::new(
        &[busybox_layer()?],
        &[
            "--config.env=GREETING=hello there",
            "--config.env=PATH=/bin:/srv/bin",
            "--config.entrypoint=/bin/sh",
            "--config.entrypoint=-c",
            "--config.cmd=echo $GREETING from $(id -un):$(id -gn) in $PWD; exit 7",
            "--config.user=maker",
            "--config.workingdir=/srv/work",
        ],
    )?;
    let (home, name) = pulled(backend, &image, "made")?;
    let said = "hello there from maker:makers in /srv/work";
    let output = run(&home, backend, &name, &["--rm"])?.exited(7)?;
    ensure!(output.text().ends_with(said), "{output:?}");
    let mut create = vec!["vm", "create", "--name", "vm", "--image", &name];
    create.extend(["--memory", "512M"]);
    create.extend(backend.options());
    home.banger(create)?.ok()?;
    let line = "echo $GREETING from $(id -un):$(id -gn) in $PWD, $PATH";
    let output = home.exec("vm", &["sh", "-c", line])?.ok()?;
    ensure!(output.text() == format!("{said}, /bin:/srv/bin"), "{output:?}");
    // What the user says comes first.
    let exec = |more: &[&str], line: &str| -> Result<String> {
        let command = ["vm", "exec"].iter().chain(more);
        let output = home.banger(command.chain(&["vm", "--", "sh", "-c", line]))?;
        Ok(output.ok()?.text())
    };
    let more = ["--env", "GREETING=bye", "--user", "root", "--workdir", "/tmp"];
    ensure!(exec(&more, "echo $GREETING $(id -u) $PWD")? == "bye 0 /tmp");
    home.banger(["vm", "delete", "-f", "vm"])?.ok()?;
    home.banger(["image", "rm", &name])?.ok()?;
    home.end()
}

/// `vm run` and `vm exec` are the image's user in the checkout, and that user may write there.
fn checkout_of_its_user(backend: Backend) -> Result<()> {
    let config = ["--config.user=maker", "--config.workingdir=/srv/made/late"];
    let image = OciImage::new(&[busybox_layer()?], &config)?;
    let (home, name) = pulled(backend, &image, "not-root")?;
    let repository = committed(&[("a", "content\n")])?;
    let place = repository.path().display().to_string();
    let mut args = vec!["vm", "run", "--name", "vm", "--image", &name, "--memory", "512M"];
    args.extend(backend.options());
    let line =
        "echo $(id -un):$(id -gn) in $PWD; cat a; touch by-run && mkdir dir && stat -c %U a .git by-run";
    args.extend([&*place, "--", "sh", "-c", line]);
    // This image has none.
    let ran = home.banger(args)?.ok()?.saying("the VM has no git")?.text();
    ensure!(
        ran == "maker:makers in /root/repo\ncontent\nmaker\nmaker\nmaker",
        "{ran}"
    );
    let exec = |more: &[&str], line: &str| -> Result<String> {
        let command = ["vm", "exec"].iter().chain(more);
        let output = home.banger(command.chain(&["vm", "--", "sh", "-c", line]))?;
        Ok(output.ok()?.text())
    };
    let line = "echo more >> a; rm by-run; touch dir/by-exec; echo $(id -un) in $PWD";
    ensure!(exec(&["--workdir", "/root/repo"], line)? == "maker in /root/repo");
    // The image's own directory, which no layer has.
    ensure!(exec(&[], "echo $(id -un) in $PWD")? == "maker in /srv/made/late");
    ensure!(exec(&["--user", "root"], "ls /root/repo/dir")? == "by-exec");
    home.banger(["vm", "delete", "-f", "vm"])?.ok()?;
    home.banger(["image", "rm", &name])?.ok()?;
    home.end()
}

fn no_shell(backend: Backend) -> Result<()> {
    let busybox = std::fs::read("/bin/busybox")?;
    let mut layer = tar("./busybox", &busybox);
    // It has to be executable.
    layer[100..107].copy_from_slice(b"0000755");
    layer[148..156].copy_from_slice(b"        ");
    let sum: u32 = layer[..512].iter().map(|&byte| u32::from(byte)).sum();
    layer[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    layer.extend(END);
    let image = OciImage::new(
        &[layer],
        &[
            "--config.entrypoint=/busybox",
            "--config.entrypoint=echo",
            "--config.cmd=no shell",
        ],
    )?;
    let (home, name) = pulled(backend, &image, "no-shell")?;
    let output = run(&home, backend, &name, &["--rm"])?.ok()?;
    ensure!(output.text().ends_with("no shell"), "{output:?}");
    home.banger(["image", "rm", &name])?.ok()?;
    home.end()
}
