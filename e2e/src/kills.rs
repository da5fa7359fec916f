//! The daemon is killed at a random instant of every verb, and then nothing may be half done: an auditor compares what the next
//! daemon says with processes, files and sockets.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use banger_api::Vm;
use banger_model::Phase;
use rustix::process::{Pid, Signal, kill_process};

use crate::store::{Image, fill_with_busybox};
use crate::{Backend, Home};

/// What was tried, and what was left half done.
#[derive(Debug, Default)]
pub struct Report {
    /// How often the daemon was killed.
    pub cases: usize,
    /// Verb, instant and finding of each case that failed.
    pub failures: Vec<String>,
}

/// How long what the next daemon owes may take.
const SETTLING: Duration = Duration::from_secs(30);

/// A verb: what is there before it, its command line, and which outcomes are whole.
struct Verb {
    name: &'static str,
    /// What `vm` is before: nothing, at rest, or running.
    before: Before,
    args: fn(&Place) -> Vec<String>,
    /// Milliseconds within which the daemon is killed.
    within: u64,
    after: &'static [After],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    Nothing,
    Stopped,
    Running,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    Gone,
    Stopped,
    Running,
}

/// The files that verbs take.
struct Place {
    dir: PathBuf,
    round: usize,
}

impl Place {
    fn at(&self, name: &str) -> String {
        self.dir.join(name).to_string_lossy().into_owned()
    }
}

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

const CREATE: &str =
    "vm create --name vm --image busybox --memory 512M --vmm fake --kernel debian --disk-size 256M";

const VERBS: &[Verb] = &[
    verb(
        "create",
        Before::Nothing,
        |_| words(CREATE),
        120,
        &[After::Gone, After::Stopped, After::Running],
    ),
    verb(
        "create-no-start",
        Before::Nothing,
        |_| words(&format!("{CREATE} --no-start")),
        40,
        &[After::Gone, After::Stopped],
    ),
    verb(
        "start",
        Before::Stopped,
        |_| words("vm start vm"),
        100,
        &[After::Stopped, After::Running],
    ),
    verb(
        "stop",
        Before::Running,
        |_| words("vm stop vm"),
        100,
        &[After::Stopped, After::Running],
    ),
    verb(
        "kill",
        Before::Running,
        |_| words("vm kill vm"),
        60,
        &[After::Stopped, After::Running],
    ),
    // A stop that was finished without its start would be half a restart.
    verb(
        "restart",
        Before::Running,
        |_| words("vm restart vm"),
        200,
        &[After::Running],
    ),
    verb(
        "delete",
        Before::Running,
        |_| words("vm delete -f vm"),
        80,
        &[After::Gone, After::Running],
    ),
    verb(
        "delete-stopped",
        Before::Stopped,
        |_| words("vm delete vm"),
        50,
        &[After::Gone, After::Stopped],
    ),
    verb(
        "set",
        Before::Stopped,
        |place| {
            words(&format!(
                "vm set vm --disk-size {}M --env A=1",
                256 + 64 * (place.round % 8)
            ))
        },
        40,
        &[After::Stopped],
    ),
    verb(
        "prune",
        Before::Stopped,
        |_| words("vm prune --yes"),
        60,
        &[After::Gone, After::Stopped],
    ),
    verb(
        "commit",
        Before::Stopped,
        |_| words("vm commit --force vm committed"),
        200,
        &[After::Stopped],
    ),
    verb(
        "run-rm",
        Before::Nothing,
        |place| {
            let mut args =
                words("vm run --rm --name vm --image busybox --vmm fake --kernel debian --memory 512M");
            args.extend([
                place.at("nowhere"),
                "--".to_owned(),
                "sleep".to_owned(),
                "0.1".to_owned(),
            ]);
            args
        },
        300,
        &[After::Gone],
    ),
    verb(
        "forward-add",
        Before::Running,
        |place| words(&format!("vm forward add vm {}:80", 20_000 + place.round)),
        40,
        &[After::Running],
    ),
    verb(
        "forward-remove",
        Before::Running,
        |_| words("vm forward remove vm --all"),
        40,
        &[After::Running],
    ),
    verb(
        "session",
        Before::Running,
        |_| words("vm session start vm -- true"),
        60,
        &[After::Running],
    ),
    verb(
        "cp",
        Before::Running,
        |place| words(&format!("vm cp {} vm:/tmp/", place.at("file"))),
        60,
        &[After::Running],
    ),
    verb(
        "sync",
        Before::Running,
        |place| words(&format!("vm sync {} vm:/tmp/synced", place.at("tree"))),
        100,
        &[After::Running],
    ),
    verb(
        "image-import",
        Before::Stopped,
        |place| {
            words(&format!(
                "image import --force --name imported {}",
                place.at("tree")
            ))
        },
        300,
        &[After::Stopped],
    ),
    verb(
        "image-delete",
        Before::Stopped,
        |_| words("image delete imported"),
        40,
        &[After::Stopped],
    ),
    verb(
        "kernel-import",
        Before::Stopped,
        |place| {
            words(&format!(
                "kernel import --force imported --vmlinux {}",
                place.at("vmlinux")
            ))
        },
        60,
        &[After::Stopped],
    ),
];

const fn verb(
    name: &'static str,
    before: Before,
    args: fn(&Place) -> Vec<String>,
    within: u64,
    after: &'static [After],
) -> Verb {
    Verb {
        name,
        before,
        args,
        within,
        after,
    }
}

/// Kills the daemon `cases` times, in the middle of one verb after the other. `seed` decides at which instants.
///
/// # Errors
/// When the stage cannot be set. What was left half done is in the report.
pub fn kill_often(cases: usize, seed: u64) -> Result<Report> {
    let home = Home::new(&[Image::Busybox])?;
    home.own_stores()?;
    let place = tempfile::tempdir()?;
    std::fs::write(place.path().join("file"), vec![7; 1 << 20])?;
    std::fs::create_dir(place.path().join("nowhere"))?;
    fill_with_busybox(&place.path().join("tree"))?;
    std::fs::copy("/bin/busybox", place.path().join("vmlinux"))?;
    let mut report = Report::default();
    let mut random = seed | 1;
    for round in 0..cases {
        let verb = &VERBS[round % VERBS.len()];
        // xorshift64: the same instants for the same seed.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let delay = Duration::from_micros(random % (verb.within * 1000));
        let place = Place {
            dir: place.path().to_owned(),
            round,
        };
        report.cases += 1;
        if let Err(error) = one(&home, verb, &place, delay) {
            report
                .failures
                .push(format!("{} killed after {delay:?}: {error:#}", verb.name));
            // The next case has a stage of its own.
            home.banger(["vm", "delete", "-f", "vm"])?;
        }
    }
    home.end()?;
    Ok(report)
}

fn one(home: &Home, verb: &Verb, place: &Place, delay: Duration) -> Result<()> {
    set_stage(home, verb.before)?;
    let daemon = home.daemon_pid()?;
    let client = home
        .command((verb.args)(place))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    // Not a wait for anything: the instant is what is tried.
    std::thread::sleep(delay);
    let daemon = Pid::from_raw(daemon).context("a process id")?;
    let killed = kill_process(daemon, Signal::KILL);
    ensure!(killed.is_ok(), "there was no daemon to kill");
    finish(client)?;
    let vm = settled(home)?;
    let after = match vm.as_ref().map(|vm| vm.phase) {
        None => After::Gone,
        Some(Phase::Running) => After::Running,
        Some(Phase::Stopped) => After::Stopped,
        Some(phase) => bail!("it is {phase}: {:?}", vm.and_then(|vm| vm.last_error)),
    };
    ensure!(verb.after.contains(&after), "it is {after:?}");
    audit(home, vm.as_ref())
}

/// A client whose daemon was killed ends, too.
fn finish(mut client: Child) -> Result<()> {
    let deadline = Instant::now() + SETTLING;
    while client.try_wait()?.is_none() {
        if Instant::now() > deadline {
            let _ = client.kill();
            client.wait()?;
            bail!("its command does not end");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn set_stage(home: &Home, before: Before) -> Result<()> {
    let is = match find(home)?.map(|vm| vm.phase) {
        None => Before::Nothing,
        Some(Phase::Running) => Before::Running,
        Some(_) => Before::Stopped,
    };
    let run = |args: &[&str]| home.banger(args)?.ok().map(drop);
    let create: Vec<&str> = CREATE.split(' ').collect();
    match (is, before) {
        (Before::Nothing, Before::Nothing) => Ok(()),
        (_, Before::Nothing) => run(&["vm", "delete", "-f", "vm"]),
        (Before::Nothing, Before::Running) => run(&create),
        (Before::Nothing, Before::Stopped) => run(&[&create[..], &["--no-start"]].concat()),
        (Before::Stopped, Before::Running) => run(&["vm", "start", "vm"]),
        (Before::Running, Before::Stopped) => run(&["vm", "stop", "vm"]),
        (Before::Stopped, Before::Stopped) | (Before::Running, Before::Running) => Ok(()),
    }
}

fn find(home: &Home) -> Result<Option<Vm>> {
    let listed = home.banger(["vm", "list", "--json"])?.ok()?;
    let vms: Vec<Vm> = serde_json::from_slice(&listed.stdout)?;
    ensure!(vms.len() <= 1, "there are {} VMs", vms.len());
    Ok(vms.into_iter().next())
}

/// The VM when the next daemon has finished what it owes.
fn settled(home: &Home) -> Result<Option<Vm>> {
    let deadline = Instant::now() + SETTLING;
    loop {
        let vm = find(home)?;
        let is_moving = vm
            .as_ref()
            .is_some_and(|vm| matches!(vm.phase, Phase::Starting | Phase::Stopping));
        // A restart that is owed begins with a machine at rest.
        let is_owed = vm.as_ref().is_some_and(|vm| {
            vm.phase == Phase::Stopped
                && vm
                    .notice
                    .as_ref()
                    .is_some_and(|notice| notice.contains("vm restart"))
        });
        if !is_moving && !is_owed {
            return Ok(vm);
        }
        ensure!(Instant::now() < deadline, "it does not settle: {vm:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Compares what the daemon says with what there is.
fn audit(home: &Home, vm: Option<&Vm>) -> Result<()> {
    let ids: BTreeSet<String> = vm.iter().map(|vm| vm.id.clone()).collect();
    let running = vm.filter(|vm| vm.phase == Phase::Running);
    let machines: BTreeSet<String> = running.iter().map(|vm| vm.id.clone()).collect();
    let stored = names(&home.path().join("state/vms"));
    ensure!(stored == ids, "disks of {stored:?}, and VMs {ids:?}");
    let sockets = names(&home.path().join("run/m"));
    ensure!(
        sockets == machines,
        "directories of machines {sockets:?}, and machines {machines:?}"
    );
    let scratch = names(&home.path().join("cache/workspaces"));
    ensure!(scratch.is_empty(), "left in the cache: {scratch:?}");
    for unfinished in ["images/tmp", "kernels/.making"] {
        let left = names(&home.path().join("data").join(unfinished));
        ensure!(left.is_empty(), "left in {unfinished}: {left:?}");
    }
    let guests = guests(home.path())?;
    ensure!(
        guests == machines.len(),
        "{guests} VMM processes, and {} machines",
        machines.len()
    );
    match (vm, running) {
        (_, Some(_)) => home.exec("vm", &["true"])?.ok().map(drop),
        (Some(vm), None) => {
            let disk = home.path().join("state/vms").join(&vm.id).join("disk.ext4");
            let length = std::fs::metadata(&disk).context("its disk")?.len();
            ensure!(
                length == vm.disk_size.as_bytes(),
                "a disk of {length} bytes, and the VM has {}",
                vm.disk_size
            );
            Ok(())
        }
        (None, None) => Ok(()),
    }
}

fn names(dir: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

/// How many fake VMMs work in machines' directories of this home.
fn guests(home: &Path) -> Result<usize> {
    let machines = home.join("run/m");
    let is_vmm = |pid: &str| {
        let place = Path::new("/proc").join(pid);
        let program = std::fs::read_link(place.join("exe")).unwrap_or_default();
        let line = std::fs::read_to_string(place.join("cmdline")).unwrap_or_default();
        program.ends_with(Backend::FAKE_PROGRAM)
            && line
                .split('\0')
                .nth(1)
                .is_some_and(|dir| Path::new(dir).starts_with(&machines))
    };
    let entries = std::fs::read_dir("/proc")?.flatten();
    Ok(entries
        .filter(|entry| is_vmm(&entry.file_name().to_string_lossy()))
        .count())
}
