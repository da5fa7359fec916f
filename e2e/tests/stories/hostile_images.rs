//! Images, file systems and kernels that were made to exhaust whoever takes them, in every form in which they come: they are
//! refused or do no harm, soon, and other requests are answered meanwhile.

use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use banger_e2e::bombs::{self, Forms, disks, kernels};
use banger_e2e::hostile::Siege;
use banger_e2e::{Backend, Home};

use crate::hostile_guest::{is_cheap, siege};
use crate::images::files_in;
use crate::pulling::home;
use crate::{Scenario, on_the_host};

pub(crate) const SCENARIOS: &[Scenario] = &[
    on_the_host(
        "an_image_made_to_exhaust_is_refused_in_every_form",
        bombs_of_images,
    ),
    on_the_host("a_file_system_made_to_exhaust_does_no_harm", bombs_of_disks),
    on_the_host("a_kernel_made_to_exhaust_is_refused", bombs_of_kernels),
    on_the_host("many_images_at_once_wait_for_their_turn", many_at_once),
];

/// How long a bomb may keep its own user waiting, in a build for tests on a host that does other things.
const LONGEST: Duration = Duration::from_secs(20);

fn bombs_of_images(_: Backend) -> Result<()> {
    let home = home(bombs::LIMITS)?;
    home.banger(["vm", "list"])?.ok()?;
    let siege = siege(&home)?;
    for (turn, bomb) in bombs::all()?.into_iter().enumerate() {
        let dir = tempfile::tempdir()?;
        let forms = bomb.forms(dir.path())?;
        let name = bomb.name;
        // Two forms of each, in turn; the figures of `cargo xtask bench daemon` are of all.
        let chosen: Vec<usize> = match forms.names.len() {
            3 => vec![turn % 3, (turn + 1) % 3],
            _ => vec![turn % 3, 3],
        };
        let well = besieged(&siege, name, || throw(&home, &forms, &chosen))?;
        for (number, taken) in chosen.into_iter().zip(well) {
            let form = forms.names[number];
            if taken {
                // An odd image that costs no more than others may be taken.
                eprintln!("{name} by {form} was taken");
                home.banger(["image", "rm", &format!("x{number}")])?.ok()?;
            } else {
                banger_cases::refused("budget", &format!("image.{name}-by-{form}"));
            }
        }
        let left = files_in(&home.path().join("data/images"))?;
        ensure!(left == ["lock"], "{name}: left {left:?}");
    }
    over(home, &siege)
}

/// These forms of a bomb at once; which of them were taken.
fn throw(home: &Home, forms: &Forms, chosen: &[usize]) -> Result<Vec<bool>> {
    let started = chosen.iter().map(|&number| {
        let name = format!("x{number}");
        let args = &forms.commands[number];
        start(home, args.iter().map(String::as_str).chain(["--name", &name]))
    });
    let started = started.collect::<Result<Vec<_>>>()?;
    started.into_iter().map(is_well).collect()
}

fn start<'a>(home: &Home, args: impl IntoIterator<Item = &'a str>) -> Result<Child> {
    let mut command = home.command(args);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    Ok(command.stderr(Stdio::null()).spawn()?)
}

/// Whether a command ended well; one that was refused says so by its exit code.
fn is_well(mut child: Child) -> Result<bool> {
    let status = child.wait()?;
    let code = status.code().context("a command was killed")?;
    // 5 is the host's own limit: the child that met it was ended.
    ensure!(matches!(code, 0 | 1 | 5), "a command exited with {code}");
    Ok(code == 0)
}

/// Throws a bomb, and sees what it costs others.
fn besieged<T>(siege: &Siege, name: &str, throw: impl FnOnce() -> Result<T>) -> Result<T> {
    let since = Instant::now();
    let (came, lists) = siege.beside(throw)?;
    let took = since.elapsed();
    if took > Duration::from_secs(2) {
        eprintln!("{name} took {took:.1?}");
    }
    ensure!(took <= LONGEST, "{name}: it took {took:?}");
    is_cheap(name, siege, &lists)?;
    Ok(came)
}

fn over(home: Home, siege: &Siege) -> Result<()> {
    eprintln!("the daemon took {:.0} MiB at most", siege.peak_mib()?);
    ensure!(home.daemon_pid()? == siege.pid, "the daemon has died");
    home.end()
}

/// A file system is looked at when it is registered, and read when it is compared with another one.
fn bombs_of_disks(_: Backend) -> Result<()> {
    let home = home("")?;
    crate::images::kernel(&home)?;
    let siege = siege(&home)?;
    let dir = tempfile::tempdir()?;
    let disks = disks::all(dir.path())?;
    let register = |name: &str, path: &Path| -> Result<bool> {
        let path = path.display().to_string();
        let args = [
            "image",
            "register",
            "--name",
            name,
            "--rootfs",
            &path,
            "--kernel-ref",
            "k",
        ];
        is_well(start(&home, args)?)
    };
    let honest = disks
        .iter()
        .find(|(name, _)| *name == "honest")
        .context("an honest one")?;
    ensure!(register("honest", &honest.1)?, "an honest file system is refused");
    for (name, path) in disks.iter().filter(|(name, _)| *name != "honest") {
        let (registered, read) = besieged(&siege, name, || {
            let registered = register("x", path)?;
            let read = registered && is_well(start(&home, ["image", "diff", "x", "honest"])?)?;
            Ok((registered, read))
        })?;
        if registered {
            home.banger(["image", "rm", "x"])?.ok()?;
        }
        if read {
            eprintln!("{name} was read");
        } else {
            banger_cases::refused("budget", &format!("disk.{name}"));
        }
    }
    over(home, &siege)
}

fn bombs_of_kernels(_: Backend) -> Result<()> {
    let home = home("")?;
    home.banger(["vm", "list"])?.ok()?;
    let siege = siege(&home)?;
    let dir = tempfile::tempdir()?;
    for (name, args) in kernels::all(dir.path())? {
        let args = ["kernel", "import", "x"]
            .into_iter()
            .chain(args.iter().map(String::as_str));
        let taken = besieged(&siege, name, || is_well(start(&home, args)?))?;
        if taken {
            eprintln!("{name} was taken");
            home.banger(["kernel", "rm", "x"])?.ok()?;
        } else {
            banger_cases::refused("budget", &format!("kernel.{name}"));
        }
        let left = files_in(&home.path().join("data/kernels"))?;
        ensure!(left == ["lock"], "{name}: left {left:?}");
    }
    over(home, &siege)
}

/// The most image workers at once.
const PLACES: usize = 8;

/// Each worker may take much memory, and as many as come at once would take what the host has.
fn many_at_once(_: Backend) -> Result<()> {
    let home = home("")?;
    home.banger(["vm", "list"])?.ok()?;
    let siege = siege(&home)?;
    let importing = (0..PLACES + 4).map(|number| {
        let mut command = home.command(["image", "import", "--name", &format!("x{number}"), "-"]);
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        command.stderr(Stdio::null()).spawn().context("import")
    });
    let importing = importing.collect::<Result<Vec<Child>>>()?;
    let mut most = 0;
    let deadline = Instant::now() + LONGEST;
    // None of them can end before its tar does, so as many as may be at once come to be.
    while most < PLACES && Instant::now() < deadline {
        most = most.max(siege.workers().len());
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_millis(500));
    most = most.max(siege.workers().len());
    ensure!(most == PLACES, "{most} workers at once");
    let tar = bombs::harmless();
    for mut child in importing {
        use std::io::Write;
        child.stdin.take().context("its input")?.write_all(&tar)?;
        ensure!(is_well(child)?, "one that waited was refused");
    }
    banger_cases::refused("budget", "image.many-at-once");
    over(home, &siege)
}
