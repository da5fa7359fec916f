//! `ssh NAME.vm true`: the host's own client, a new connection, its keys, a command, and its end.

use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use super::figure::{Figure, median_of};
use super::home::{Home, Under, ms};

const RUNS: usize = 30;

/// In a real guest, warm.
pub(super) fn measure_firecracker() -> Result<Vec<Figure>> {
    let home = Home::with_vm(Under::Firecracker, "256M")?;
    let config = home.path().join("ssh_config");
    std::fs::write(&config, home.banger(&["ssh-config", "--print"])?.stdout)?;
    let (mut ssh, mut exec) = (Vec::new(), Vec::new());
    for run in 0..RUNS + 3 {
        let since = Instant::now();
        let status = Command::new("ssh")
            .arg("-F")
            .arg(&config)
            .args(["vm.vm", "true"])
            .env("BANGER_HOME", home.path())
            .stdin(Stdio::null())
            .status()
            .context("failed to run ssh")?;
        let took = ms(since.elapsed());
        ensure!(status.success(), "ssh: {status}");
        let (other, _) = home.time(&["vm", "exec", "vm", "--", "true"])?;
        // The first ones warm everything.
        if run >= 3 {
            ssh.push(took);
            exec.push(ms(other));
        }
    }
    Ok(vec![
        Figure::of("ssh.true_ms", &ssh)
            .phase("vm exec, ms", median_of(exec))
            .under("firecracker"),
    ])
}
