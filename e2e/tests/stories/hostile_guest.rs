//! Guests that have turned hostile: what they answer costs the daemon little, and other VMs nothing. And in a guest, other users
//! than root reach nothing of the agent's.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use banger_e2e::hostile::{self, BOMBS, Siege};
use banger_e2e::{Backend, Home, Image};

use crate::{Scenario, in_guests, on_the_host};

pub(crate) const SCENARIOS: &[Scenario] = &[
    on_the_host("a_hostile_guest_does_not_exhaust_the_daemon", bombs),
    on_the_host(
        "a_hostile_guest_fails_to_start_and_to_stop_in_bounds",
        starts_and_stops,
    ),
    in_guests("other_users_of_a_guest_reach_nothing_of_the_agents", other_users).with("rustc"),
];

/// The most memory of the daemon, and how long a list of VMs takes at most: half of the lists that are made meanwhile, and any,
/// on a host that has other things to do.
const MOST_MIB: f64 = 100.0;
const HALF: Duration = Duration::from_millis(100);
const ANY: Duration = Duration::from_secs(3);

fn besieged() -> Result<(Home, tempfile::TempDir)> {
    let home = Home::new(&[Image::Busybox])?;
    let programs = tempfile::Builder::new()
        .prefix("hostile-")
        .tempdir_in(home.programs())?;
    hostile::programs(home.programs(), programs.path())?;
    // The daemon that made the image starts the guests of its own programs.
    home.banger(["daemon", "stop"])?.ok()?;
    let home = home.with_programs(programs.path());
    Ok((home, programs))
}

pub(crate) fn siege(home: &Home) -> Result<Siege> {
    Ok(Siege {
        home: home.path().to_owned(),
        pid: home.daemon_pid()?,
    })
}

pub(crate) fn is_cheap(name: &str, siege: &Siege, lists: &[Duration]) -> Result<()> {
    let mib = siege.peak_mib()?;
    ensure!(mib <= MOST_MIB, "{name}: the daemon took {mib:.0} MiB");
    let mut lists = lists.to_vec();
    lists.sort();
    let half = lists.get(lists.len() / 2).context("no list was made")?;
    ensure!(*half <= HALF, "{name}: half of the lists took more than {half:?}");
    let longest = lists.last().context("no list was made")?;
    ensure!(*longest <= ANY, "{name}: a list took {longest:?}");
    Ok(())
}

fn bombs(backend: Backend) -> Result<()> {
    let (home, _programs) = besieged()?;
    home.create(backend, Image::Busybox, "vm", &[])?;
    let siege = siege(&home)?;
    let ask: [&[&str]; 6] = [
        &["vm", "session", "list", "vm"],
        &["vm", "ports", "vm"],
        &["vm", "exec", "vm", "--", "true"],
        &["vm", "session", "start", "vm", "--", "true"],
        &["vm", "session", "stop", "vm", "x"],
        &["vm", "cp", "vm:/etc/passwd", "/dev/null"],
    ];
    for bomb in BOMBS {
        let commands: Vec<Command> = ask.iter().map(|args| home.command(args.iter())).collect();
        let cost = siege.throw(bomb, commands)?;
        is_cheap(bomb, &siege, &cost.lists)?;
        ensure!(!cost.well[0], "{bomb}: the guest was not hostile");
        banger_cases::refused("budget", &format!("guest.answer-{bomb}"));
    }
    eprintln!("the daemon took {:.0} MiB at most", siege.peak_mib()?);
    // It is as it was.
    ensure!(home.exec("vm", &["echo", "well"])?.ok()?.text() == "well");
    home.end()
}

fn starts_and_stops(backend: Backend) -> Result<()> {
    let (home, _programs) = besieged()?;
    home.create(backend, Image::Busybox, "other", &[])?;
    let siege = siege(&home)?;
    let create = |name: &str| {
        let vmm = ["--vmm", "fake", "--image", Image::Busybox.name(), "--name", name];
        home.command(["vm", "create"].iter().chain(&vmm))
    };
    for bomb in [
        "endless-hello",
        "/v1/configure array-of-strings",
        "/v1/configure causes",
        "/v1/configure one-string",
        "/v1/configure many-headers",
        "/v1/events event-flood",
        "/v1/events tiny-chunks",
        "/v1/events one-string",
        "/v1/events hang-up",
        "/v1/events nested-arrays",
    ] {
        let name = bomb.rsplit(['/', ' ']).next().unwrap_or(bomb);
        let cost = siege.throw(bomb, vec![create(name)])?;
        is_cheap(bomb, &siege, &cost.lists)?;
        banger_cases::refused(
            "budget",
            &format!("guest.start-{}", bomb.replace(['/', ' '], "-")),
        );
    }
    home.end()
}

/// What a user of the guest tries. It is run as nobody, with the agent's own program at hand.
const TRY: &str = r#"
fail() { echo "$1"; }
for pid in 1 $(ps -o pid,args | awk '$2 ~ /^@banger/ {print $1}'); do
  found=yes
  for what in environ mem maps auxv; do
    [ -n "$(head -c 1 /proc/$pid/$what 2>/dev/null)" ] && fail "$pid-$what"
  done
  ls /proc/$pid/fd >/dev/null 2>&1 && fail "$pid-fd"
  ls /proc/$pid/root/ >/dev/null 2>&1 && fail "$pid-root"
  ls /proc/$pid/cwd/ >/dev/null 2>&1 && fail "$pid-cwd"
  kill -0 $pid 2>/dev/null && fail "$pid-kill"
done
[ -n "$found" ] || fail "no agent was found"
cat /run/banger/secrets/TOKEN 2>/dev/null && fail secret
ls /run/banger/secrets 2>/dev/null && fail secrets
for dir in /run/banger /run/banger/secrets /banger /run /dev /root; do touch $dir/x 2>/dev/null && fail $dir; done
for file in /dev/vd* /dev/mem /dev/port; do head -c 1 $file >/dev/null 2>&1 && fail $file; done
mount -t tmpfs none /mnt 2>/dev/null && fail mount
echo tried
"#;

fn other_users(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "vm", &[])?;
    home.exec(
        "vm",
        &[
            "sh",
            "-c",
            "echo 'nobody:x:65534:65534::/:/bin/sh' >> /etc/passwd",
        ],
    )?
    .ok()?;
    let secret = ["vm", "exec", "--secret", "TOKEN", "vm", "--", "true"];
    let mut with_secret = home.command(secret);
    with_secret.env("TOKEN", "hush");
    home.finish(with_secret, Vec::new())?.ok()?;
    // A session of root's and a command, whose processes are there to be tried.
    home.banger([
        "vm", "session", "start", "vm", "--name", "s", "--", "sleep", "600",
    ])?
    .ok()?;
    let as_nobody = |line: &str| home.banger(["vm", "exec", "-u", "nobody", "vm", "--", "sh", "-c", line]);
    let told = as_nobody(TRY)?.ok()?.text().to_owned();
    ensure!(told == "tried", "a user of the guest reached: {told}");
    for case in [
        "proc-environ",
        "proc-mem",
        "proc-maps",
        "proc-fd",
        "proc-root",
        "kill",
        "secret",
        "secrets-list",
        "run",
        "disks",
    ] {
        banger_cases::refused("guest-users", case);
    }
    // The agent's port by the guest's own address, by loopback, and by whatever local address there is.
    let built = tempfile::tempdir()?;
    let probe = probe(built.path(), include_str!("../probes/vsock.rs"))?;
    home.banger(["vm", "cp", &probe.to_string_lossy(), "vm:/probe"])?
        .ok()?;
    home.exec("vm", &["chmod", "755", "/probe"])?.ok()?;
    for (user, case) in [("nobody", "vsock-nobody"), ("root", "vsock-root")] {
        let told = home
            .banger(["vm", "exec", "-u", user, "vm", "--", "/probe"])?
            .ok()?;
        ensure!(
            told.text().ends_with("nothing answers"),
            "{user}: {}",
            told.text()
        );
        banger_cases::refused("guest-users", case);
    }
    home.end()
}

/// A program of this text, for a guest that has no C library.
pub(crate) fn probe(dir: &Path, text: &str) -> Result<PathBuf> {
    let (source, program) = (dir.join("probe.rs"), dir.join("probe"));
    std::fs::write(&source, text)?;
    let target = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.args([
        "--edition",
        "2024",
        "-C",
        "opt-level=s",
        "--target",
        &target,
        "-o",
    ]);
    let built = rustc.arg(&program).arg(&source).output().context("run rustc")?;
    ensure!(
        built.status.success(),
        "{}",
        String::from_utf8_lossy(&built.stderr)
    );
    Ok(program)
}
