//! Images that have Docker.

use std::time::Duration;

use anyhow::{Result, ensure};
use banger_e2e::{Backend, Image, Internet, SITES, lay_mirror};

use crate::networks::networked;
use crate::{Scenario, in_guests};

pub(crate) const SCENARIOS: &[Scenario] = &[in_guests("docker_is_built_in_and_stacks_on_the_disk", docker)
    .by_root()
    .taking(INSTALLATION)];

/// Emulated, apt unpacks Docker in two minutes where nothing else goes on, and in five beside other guests and builds.
const INSTALLATION: Duration = Duration::from_secs(600);

/// A daemon without a bridge: Debian's kernel has that in a module, which the image has not.
const BASE: &str = "mkdir -p /etc/docker && echo '{\"bridge\": \"none\", \"iptables\": false}' > /etc/docker/daemon.json && \
     rm -rf /etc/apt/sources.list* && echo \"deb [trusted=yes] http://$1/ ./\" > /etc/apt/sources.list";

/// An image for containers, made of what the guest has.
const LOAD: &str = "cd / && tar -ch bin/sh bin/cat lib/x86_64-linux-gnu/libc.so.6 lib64/ld-linux-x86-64.so.2 | \
     docker import - shell";

fn docker(backend: Backend) -> Result<()> {
    let internet = Internet::new()?;
    let home = networked(&internet, &[Image::Systemd])?.patient(std::time::Duration::from_secs(600));
    home.prefer(backend)?;
    let (base, built) = (
        format!("docker-base-{}", backend.name()),
        format!("docker-{}", backend.name()),
    );
    // The base knows no mirror but the one here.
    home.create(backend, Image::Systemd, "base", &[])?;
    let status = home.sh("base", "cat /var/lib/dpkg/status")?;
    home.exec("base", &["sh", "-c", BASE, "sh", SITES[0]])?.ok()?;
    home.banger(["vm", "commit", "base", "--force", "--name", &base])?
        .ok()?;
    home.banger(["vm", "delete", "-f", "base"])?.ok()?;
    lay_mirror(
        &internet.pages(),
        &status,
        &["docker.io", "ca-certificates", "iptables", "apparmor"],
    )?;
    let build = |more: &[&str]| {
        let args = [
            "image",
            "build",
            "--force",
            "--name",
            &built,
            "--from-image",
            &base,
            "--docker",
        ];
        home.banger(args.iter().chain(more))
    };
    build(&["--net", "off"])?
        .failed()?
        .saying("the installation of Docker failed with exit code")?;
    build(&[])?.ok()?.saying("Docker version")?;
    home.banger([
        "vm", "create", "--name", "vm", "--image", &built, "--memory", "1G", "--wait", "init",
    ])?
    .ok()?;
    // Nothing has to be started: systemd does that for who asks.
    ensure!(home.sh("vm", "stat -f -c %T /var/lib/docker")? == "ext2/ext3");
    ensure!(home.sh("vm", "docker info -f '{{.Driver}}'")? == "overlay2");
    home.sh("vm", LOAD)?;
    let run =
        "docker run --name one --network none shell /bin/sh -c 'echo in a container > /kept; /bin/cat /kept'";
    ensure!(home.sh("vm", run)? == "in a container");
    // It is there after a restart, and not in an image of this VM.
    home.banger(["vm", "restart", "--wait", "init", "vm"])?.ok()?;
    ensure!(home.sh("vm", "docker cp one:/kept - | tar -xO")? == "in a container");
    home.banger(["vm", "commit", "vm", "--force", "--name", &base])?
        .ok()?;
    home.banger(["vm", "create", "--name", "other", "--image", &base])?
        .ok()?;
    ensure!(home.sh("other", "ls -A /var/lib/docker")?.is_empty());
    home.banger(["vm", "delete", "-f", "vm", "other"])?.ok()?;
    home.banger(["image", "delete", &base, &built])?.ok()?;
    home.end()
}
