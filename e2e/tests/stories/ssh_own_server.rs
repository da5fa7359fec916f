//! The SSH server that an image has itself.

use anyhow::{Result, ensure};
use banger_e2e::{Backend, Home, Image};

use crate::{Scenario, in_guests};

pub(crate) const SCENARIOS: &[Scenario] =
    &[in_guests("the_images_own_ssh_server_is_used_on_request", sshd).with("ssh")];

/// Starts the image's server, in the place of one that runs, and waits until it listens.
const SSHD: &str = "mkdir -p /run/sshd; [ ! -e /run/sshd.pid ] || { kill $(cat /run/sshd.pid); \
                    while [ -e /run/sshd.pid ]; do sleep 0.05; done; }; \
                    /usr/sbin/sshd $OPTIONS && while [ ! -e /run/sshd.pid ]; do sleep 0.05; done";

/// It is known by the keys that the agent reads, whatever they are by then, and is never taken on trust.
fn sshd(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Sshd])?;
    home.create(backend, Image::Sshd, "vm", &[])?;
    let ssh = |more: &[&str], line: &str| {
        let args = [&["vm", "ssh", "--sshd"], more, &["vm", "--", line]].concat();
        home.banger(args)
    };
    ssh(&[], "true")?
        .exited(255)?
        .saying("no SSH server listens in it")?;
    home.sh("vm", SSHD)?;
    // Who may come in is its own matter.
    ssh(&[], "true")?.exited(255)?.saying("Permission denied")?;
    let key = std::fs::read_to_string(home.path().join("state/ssh/id_ed25519.pub"))?;
    let allow = format!(
        "useradd -m -s /bin/sh dev; for at in /root ~dev; do mkdir -m 700 $at/.ssh; echo '{}' > $at/.ssh/authorized_keys; \
         done; chown -R dev: ~dev/.ssh",
        key.trim()
    );
    home.sh("vm", &allow)?;
    let who = "echo $USER; echo ${SSH_CONNECTION##* }; exit 3";
    let output = ssh(&[], who)?.exited(3)?;
    ensure!(output.text() == "root\n22", "{output:?}");
    ensure!(output.stderr.is_empty(), "it says something: {}", output.stderr);
    let output = ssh(&["--user", "dev"], who)?.exited(3)?;
    ensure!(
        output.text() == "dev\n22" && output.stderr.is_empty(),
        "{output:?}"
    );
    // It has other keys from now on, and nobody has to be told.
    home.sh("vm", &format!("rm /etc/ssh/ssh_host_*; ssh-keygen -qA; {SSHD}"))?;
    let output = ssh(&[], who)?.exited(3)?;
    ensure!(
        output.text() == "root\n22" && output.stderr.is_empty(),
        "{output:?}"
    );
    // One with a key that is not the image's is none of the image's.
    let impostor = format!("ssh-keygen -qt ed25519 -N '' -f /tmp/key; OPTIONS='-h /tmp/key'; {SSHD}");
    home.sh("vm", &impostor)?;
    ssh(&[], "true")?
        .exited(255)?
        .saying("Host key verification failed")?;
    // Without keys there is nothing to know it by.
    home.sh("vm", "rm /etc/ssh/ssh_host_*")?;
    ssh(&[], "true")?
        .exited(255)?
        .saying("the image has no SSH host keys")?;
    // The agent's server has nothing to do with it.
    let output = home
        .banger(["vm", "ssh", "vm", "--", "echo $SSH_CONNECTION"])?
        .ok()?;
    ensure!(output.text() == "UNKNOWN 65535 UNKNOWN 65535", "{output:?}");
    home.end()
}
