//! The most memory of a daemon that hostile guests answer, and that is given images which were made to exhaust it.
//!
//! What is counted is the daemon's process from its start to the end of all attacks: its largest resident set (`VmHWM`, proc(5))
//! without the pages of its program. Images are unpacked in children of it that have a bound of their own; the largest of
//! those that was seen is told beside, and is no part of the figure.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use banger_e2e::hostile::{self, BOMBS, Siege};
use banger_e2e::{Home, bombs};

use super::figure::{Figure, median_of};
use super::home::{ms, status_kib, text};

pub(super) fn measure() -> Result<Vec<Figure>> {
    let home = Home::bare()?;
    let programs = tempfile::Builder::new()
        .prefix("hostile-")
        .tempdir_in(home.programs())?;
    hostile::programs(home.programs(), programs.path())?;
    let home = home.with_programs(programs.path());
    let config = home.path().join("config");
    std::fs::create_dir_all(&config)?;
    std::fs::write(config.join("config.toml"), bombs::LIMITS)?;
    vm(&home)?;
    let siege = Siege {
        home: home.path().to_owned(),
        pid: home.daemon_pid()?,
    };
    let (lists, largest) = beside_children(&siege, || {
        let mut lists = guests(&home, &siege)?;
        lists.extend(images(&home, &siege)?);
        Ok(lists)
    })?;
    let mib = siege.peak_mib()?;
    home.end()?;
    let lists: Vec<f64> = lists.into_iter().map(ms).collect();
    let slowest = lists.iter().copied().fold(0.0, f64::max);
    Ok(vec![
        Figure::of("daemon.peak_hostile_mib", &[mib])
            .under("fake")
            .phase("largest child, MiB", largest),
        // Of all lists, the slowest counts.
        Figure::of("daemon.list_hostile_ms", &[slowest])
            .under("fake")
            .phase("lists", lists.len() as f64)
            .phase("median", median_of(lists)),
    ])
}

/// A VM of busybox, called `vm`, whose guest turns hostile when it is asked to.
fn vm(home: &Home) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (root, kernel) = (dir.path().join("root"), dir.path().join("vmlinux"));
    std::fs::create_dir(&root)?;
    banger_e2e::fill_with_busybox(&root)?;
    // It boots none; any executable with a kernel's banner will do.
    let program = std::fs::read("/bin/busybox")?;
    std::fs::write(&kernel, [&program[..], b"Linux version 0 "].concat())?;
    for args in [
        &["image", "import", "--name", "busybox", text(&root)?][..],
        &["kernel", "import", "k", "--vmlinux", text(&kernel)?],
        &[
            "vm", "create", "--vmm", "fake", "--image", "busybox", "--kernel", "k", "--name", "vm",
        ],
    ] {
        home.banger(args)?.ok()?;
    }
    Ok(())
}

/// Every answer of a hostile guest, to everything that asks it.
fn guests(home: &Home, siege: &Siege) -> Result<Vec<Duration>> {
    let ask: [&[&str]; 6] = [
        &["vm", "session", "list", "vm"],
        &["vm", "ports", "vm"],
        &["vm", "exec", "vm", "--", "true"],
        &["vm", "session", "start", "vm", "--", "true"],
        &["vm", "session", "stop", "vm", "x"],
        &["vm", "cp", "vm:/etc/passwd", "/dev/null"],
    ];
    let mut lists = Vec::new();
    for bomb in BOMBS {
        let commands: Vec<Command> = ask.iter().map(|args| home.command(args.iter())).collect();
        let cost = siege.throw(bomb, commands)?;
        ensure!(!cost.well[0], "{bomb}: the guest was not hostile");
        lists.extend(cost.lists);
    }
    Ok(lists)
}

/// Every bomb of an image, in all its forms at once.
fn images(home: &Home, siege: &Siege) -> Result<Vec<Duration>> {
    let mut lists = Vec::new();
    for bomb in bombs::all()? {
        let dir = tempfile::tempdir()?;
        let forms = bomb.forms(dir.path())?;
        let (ended, meanwhile) = siege.beside(|| {
            let started = forms.commands.iter().enumerate().map(|(number, args)| {
                let name = format!("x{number}");
                let mut command = home.command(args.iter().map(String::as_str).chain(["--name", &name]));
                command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()
            });
            let mut started = started.collect::<Result<Vec<_>, _>>()?;
            for child in &mut started {
                child.wait()?;
            }
            Ok(started.len())
        })?;
        ensure!(ended >= 3, "{}: {ended} forms", bomb.name);
        lists.extend(meanwhile);
    }
    Ok(lists)
}

/// Does something, and looks meanwhile how large the daemon's children become.
fn beside_children<T>(siege: &Siege, what: impl FnOnce() -> Result<T>) -> Result<(T, f64)> {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watching = scope.spawn(|| {
            let mut largest = 0.0_f64;
            while !over.load(Ordering::Relaxed) {
                for pid in siege.workers() {
                    // One that has ended meanwhile has none.
                    largest = largest.max(status_kib(pid, "VmHWM").unwrap_or_default() / 1024.0);
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            largest
        });
        let came = what();
        over.store(true, Ordering::Relaxed);
        let largest = watching.join().expect("watching does not panic");
        Ok((came?, largest))
    })
}
