//! What the daemon takes when nothing happens.

use std::time::Duration;

use anyhow::Result;

use super::figure::Figure;
use super::home::{Home, status_kib};

/// How long it is left alone.
const IDLE: Duration = Duration::from_secs(5);

pub(super) fn measure() -> Result<Vec<Figure>> {
    let home = Home::bare()?;
    home.banger(&["daemon", "start"])?;
    home.banger(&["vm", "list"])?;
    let pid = home.daemon()?;
    // What the last request left to do is done by then.
    std::thread::sleep(Duration::from_secs(1));
    let before = wake_ups(pid)?;
    std::thread::sleep(IDLE);
    let woken = wake_ups(pid)? - before;
    let mib = status_kib(pid, "VmRSS")? / 1024.0;
    Ok(vec![
        Figure::of("daemon.idle_mib", &[mib]).phase("wake-ups in 5 s", woken),
    ])
}

/// How often the threads of a process have been woken so far.
fn wake_ups(pid: u32) -> Result<f64> {
    let mut sum = 0.0;
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))?.flatten() {
        let tid = task.file_name().to_string_lossy().parse()?;
        sum += status_kib(tid, "voluntary_ctxt_switches")?;
    }
    Ok(sum)
}
