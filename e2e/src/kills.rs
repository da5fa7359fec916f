//! The daemon is killed at a random instant of every verb, and then nothing may be half done: an auditor compares what the next
//! daemon says with processes, files and sockets.

mod audit;
mod repository;
mod verbs;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use banger_api::Vm;
use banger_model::Phase;
use rustix::process::{Pid, Signal, kill_process};

use self::audit::{Left, audit};
use self::repository::Repository;
use self::verbs::{After, Before, CREATE, Place, VERBS, Verb};
use crate::image::Image;
use crate::registry::{OciImage, Registry};
use crate::store::fill_with_busybox;
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

/// Kills the daemon `cases` times, in the middle of one verb after the other. `seed` decides at which instants.
///
/// # Errors
/// When the stage cannot be set. What was left half done is in the report.
pub fn kill_often(cases: usize, seed: u64) -> Result<Report> {
    let home = Home::new(&[Image::Busybox])?;
    home.own_stores()?;
    home.prefer(Backend::Fake)?;
    let place = tempfile::tempdir()?;
    fill(&home, place.path())?;
    let repository = Repository::make(&place.path().join("repo"))?;
    let registry = Registry::open()?;
    let tree = place.path().join("tree").display().to_string();
    let layer = Command::new("tar").args(["-C", &tree, "-c", "."]).output()?;
    ensure!(layer.status.success(), "tar does not pack {tree}");
    registry.push(&OciImage::new(&[layer.stdout], &[])?, "tree")?;
    let first = Left::of(&home)?;
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
            reference: registry.reference("tree"),
        };
        report.cases += 1;
        if let Err(error) = one(&home, verb, &place, &repository, delay) {
            report
                .failures
                .push(format!("{} killed after {delay:?}: {error:#}", verb.name));
            // The next case has a stage of its own.
            for vm in all(&home)? {
                home.banger(["vm", "delete", "-f", vm.name.as_str()])?;
            }
        }
    }
    // What verbs made themselves goes; then there is what there was.
    for remove in [
        &["vm", "delete", "-f", "vm"][..],
        &["image", "delete", "pulled"],
        &["image", "delete", "imported"],
        &["image", "delete", "committed"],
        &["image", "delete", "built"],
        &["kernel", "rm", "imported"],
    ] {
        home.banger(remove)?;
    }
    if let Err(error) = Left::of(&home)?.is_no_more_than(&first) {
        report.failures.push(format!("after all of them: {error:#}"));
    }
    home.end()?;
    Ok(report)
}

/// Makes what verbs take.
fn fill(home: &Home, place: &Path) -> Result<()> {
    std::fs::write(place.join("file"), vec![7; 1 << 20])?;
    std::fs::create_dir(place.join("nowhere"))?;
    std::fs::create_dir(place.join("exported"))?;
    fill_with_busybox(&place.join("tree"))?;
    std::fs::write(place.join("script"), "echo built > /made\n")?;
    let program = std::fs::read("/bin/busybox")?;
    std::fs::write(
        place.join("vmlinux"),
        [&program[..], b"Linux version 0 "].concat(),
    )?;
    let image = place.join("image.tar").display().to_string();
    home.banger(["image", "export", "busybox", "-o", &image])?.ok()?;
    Ok(())
}

fn one(home: &Home, verb: &Verb, place: &Place, repository: &Repository, delay: Duration) -> Result<()> {
    set_stage(home, verb.before)?;
    if matches!(verb.before, Before::Worked | Before::Pulled) {
        repository.place(home, place.round)?;
    }
    if verb.before == Before::Pulled {
        home.banger(["vm", "workspace", "pull", "vm"])?.ok()?;
    }
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
    let vm = settled(home, verb.after)?;
    let after = match vm.as_ref().map(|vm| vm.phase) {
        None => After::Gone,
        Some(Phase::Running) => After::Running,
        Some(Phase::Stopped) => After::Stopped,
        Some(phase) => bail!("it is {phase}: {:?}", vm.and_then(|vm| vm.last_error)),
    };
    ensure!(verb.after.contains(&after), "it is {after:?}");
    audit(home, vm.as_ref())?;
    let exported = std::fs::read_dir(place.dir.join("exported"))?.flatten();
    let unfinished = exported
        .map(|entry| entry.file_name())
        .find(|name| name != "image.tar");
    ensure!(unfinished.is_none(), "beside what was exported: {unfinished:?}");
    repository.is_whole()
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
    let before = match before {
        Before::Worked | Before::Pulled => Before::Running,
        before => before,
    };
    match (is, before) {
        (Before::Nothing, Before::Nothing) => Ok(()),
        (_, Before::Nothing) => run(&["vm", "delete", "-f", "vm"]),
        (Before::Nothing, Before::Running) => run(&create),
        (Before::Nothing, Before::Stopped) => run(&[&create[..], &["--no-start"]].concat()),
        (Before::Stopped, Before::Running) => run(&["vm", "start", "vm"]),
        (Before::Running, Before::Stopped) => run(&["vm", "stop", "vm"]),
        _ => Ok(()),
    }
}

fn all(home: &Home) -> Result<Vec<Vm>> {
    let listed = home.banger(["vm", "list", "--json"])?.ok()?;
    Ok(serde_json::from_slice(&listed.stdout)?)
}

fn find(home: &Home) -> Result<Option<Vm>> {
    let vms = all(home)?;
    ensure!(vms.len() <= 1, "there are {} VMs", vms.len());
    Ok(vms.into_iter().next())
}

/// The VM when the next daemon has finished what it owes.
fn settled(home: &Home, after: &[After]) -> Result<Option<Vm>> {
    // One that has to go waits for its command first, as long as a command may take to come back to the next daemon.
    let has_to_go = after == [After::Gone];
    let deadline = Instant::now() + if has_to_go { 2 * SETTLING } else { SETTLING };
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
        if !(is_moving || is_owed || has_to_go && vm.is_some()) {
            return Ok(vm);
        }
        ensure!(Instant::now() < deadline, "it does not settle: {vm:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
