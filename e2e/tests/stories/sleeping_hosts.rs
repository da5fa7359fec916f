//! Connections that are silent for long, hosts that forget them, and hosts that sleep.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};
use banger_e2e::netns::{forget_connections, within};
use banger_e2e::{Backend, Home, Image, Internet, SITES};
use rustix::net::sockopt::socket_peercred;

use crate::networks::networked;
use crate::{Scenario, in_guests};

pub(crate) const SCENARIOS: &[Scenario] = &[
    in_guests("connections_outlive_silence_and_sleep_over_the_bridge", bridged).by_root(),
    in_guests(
        "connections_outlive_silence_and_sleep_in_a_rootless_network",
        rootless,
    )
    .with("pasta")
    .by_root(),
];

const ECHO: u16 = 8445;
const BY_ITSELF: u16 = 8446;
/// How long a server is silent that speaks first then. The hosts of these scenarios forget what is idle for a second.
const SILENCE: Duration = Duration::from_secs(5);

/// Starts a conversation in the guest: what is said, with a pause before each word but the first. What comes back, and that it has
/// ended, is in a file of its name.
fn begins(home: &Home, name: &str, port: u16, words: &[(u32, &str)]) -> Result<()> {
    let says = words
        .iter()
        .map(|(pause, word)| format!("sleep {pause}; echo {word}; "));
    let says: String = says.collect();
    let line = format!(
        "mkfifo /{name}.in; ({says} sleep 90) >/{name}.in 2>/dev/null </dev/null & \
         (timeout 80 nc {} {port} </{name}.in >/{name} 2>&1; echo ended >>/{name}) >/dev/null 2>&1 </dev/null &",
        SITES[0]
    );
    home.sh("web", &line)?;
    Ok(())
}

/// Waits until a conversation has got this, or so many seconds.
fn hears(home: &Home, name: &str, what: &str, seconds: u32) -> Result<()> {
    let line = format!(
        "for i in $(seq {}); do grep -q '{what}' /{name} && break; sleep 0.5; done; cat /{name}",
        seconds * 2
    );
    let heard = home.sh("web", &line)?;
    ensure!(
        heard.contains(what),
        "in {name}, no {what} within {seconds} s: {heard:?}"
    );
    Ok(())
}

/// Lets the kernel forget in there what is idle for a second, as far as its own settings say it.
fn impatient(netns: &Path) -> Result<()> {
    within(netns, || {
        let dir = PathBuf::from("/proc/sys/net/netfilter");
        for name in ["tcp_timeout_established", "udp_timeout", "udp_timeout_stream"] {
            std::fs::write(dir.join(format!("nf_conntrack_{name}")), "1")?;
        }
        Ok(())
    })
}

fn silence(internet: &Internet, home: &Home, translates: &Path) -> Result<()> {
    internet.answer_late(ECHO, Duration::from_millis(10))?;
    internet.speak_late(BY_ITSELF, SILENCE)?;
    impatient(translates)?;
    begins(home, "asks", ECHO, &[(0, "one"), (6, "two")])?;
    begins(home, "waits", BY_ITSELF, &[(0, "question")])?;
    hears(home, "asks", "one", 10)?;
    hears(home, "waits", "by itself", 20)?;
    hears(home, "asks", "two", 20)?;
    // What is forgotten goes on with the guest's next word.
    begins(home, "again", ECHO, &[(0, "one"), (6, "two")])?;
    hears(home, "again", "one", 10)?;
    forget_connections(translates)?;
    hears(home, "again", "two", 20)
}

/// A lid that is closed and opened again: nothing runs, and the way out is gone and back.
fn sleep(internet: &Internet, home: &Home, wake: impl Fn() -> Result<()>) -> Result<()> {
    home.asleep(&internet.pids(), || {
        internet.on_the_host(&["ip", "link", "set", "up0", "down"])?;
        std::thread::sleep(Duration::from_secs(4));
        wake()
    })
}

fn sleeps(internet: &Internet, home: &Home) -> Result<()> {
    begins(home, "sleeps", ECHO, &[(0, "one"), (6, "two")])?;
    hears(home, "sleeps", "one", 10)?;
    sleep(internet, home, || {
        internet.on_the_host(&["ip", "link", "set", "up0", "up"])?;
        internet.plug()
    })?;
    home.banger(["vm", "list"])?.ok()?;
    hears(home, "sleeps", "two", 30)?;
    begins(home, "afterwards", ECHO, &[(0, "one")])?;
    hears(home, "afterwards", "one", 20)
}

fn bridged(backend: Backend) -> Result<()> {
    let internet = Internet::new()?;
    let home = networked(&internet, &[Image::Busybox])?;
    home.create(backend, Image::Busybox, "web", &["--nat"])?;
    silence(&internet, &home, &internet.host_file())?;
    sleeps(&internet, &home)?;
    // It wakes up somewhere else: the server does not know the new address, and the guest is told at once.
    begins(&home, "moves", ECHO, &[(0, "one"), (6, "two")])?;
    hears(&home, "moves", "one", 10)?;
    sleep(&internet, &home, || {
        internet.change_cables()?;
        internet.on_the_host(&["ip", "addr", "flush", "dev", "up0"])?;
        Ok(())
    })?;
    hears(&home, "moves", "ended", 30)?;
    begins(&home, "elsewhere", ECHO, &[(0, "one")])?;
    hears(&home, "elsewhere", "one", 20)?;
    home.end()
}

fn rootless(backend: Backend) -> Result<()> {
    let internet = Internet::new()?;
    let home = Home::new(&[Image::Busybox])?.of_plain_user(Some(internet.host()))?;
    home.create(backend, Image::Busybox, "web", &["--nat"])?;
    let helper = UnixStream::connect(home.path().join("run/net/0.sock"))?;
    let helper = socket_peercred(&helper)?.pid.as_raw_nonzero();
    silence(&internet, &home, &PathBuf::from(format!("/proc/{helper}/ns/net")))?;
    sleeps(&internet, &home)?;
    home.end()
}
