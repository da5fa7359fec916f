//! Lives of VMs: starts, stops, and what stays on their disks.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use banger_e2e::{Backend, Home, Image, Terminal, VARIABLE};

use crate::{Scenario, everywhere, in_guests, on_the_host};

pub(crate) const SCENARIOS: &[Scenario] = &[
    in_guests(
        "systemd_reaches_its_default_target",
        systemd_reaches_its_default_target,
    ),
    in_guests("another_init_takes_over_and_ends_the_guest", another_init),
    in_guests("one_static_program_is_enough", one_static_program_is_enough),
    in_guests("stop_and_start_keep_the_data", stop_and_start_keep_the_data),
    in_guests("what_was_synced_survives_a_kill", what_was_synced_survives_a_kill),
    in_guests("two_vms_of_one_image_at_once", two_vms_of_one_image_at_once),
    in_guests(
        "a_guest_that_powers_itself_off_is_stopped",
        a_guest_that_powers_itself_off,
    ),
    in_guests("a_disk_grows_while_the_vm_is_stopped", a_disk_grows),
    in_guests(
        "a_guest_knows_its_name_and_the_time",
        a_guest_knows_its_name_and_the_time,
    ),
    everywhere("a_vm_is_created_stopped_started_and_deleted", a_whole_life),
    on_the_host(
        "many_names_go_side_by_side_and_one_bad_name_stops_none",
        many_names,
    ),
    on_the_host("what_does_not_run_is_pruned", what_does_not_run_is_pruned),
];

fn systemd_reaches_its_default_target(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Systemd])?;
    home.create(backend, Image::Systemd, "sys", &["--wait", "init"])?;
    let state = home.exec("sys", &["systemctl", "is-system-running"])?;
    let failed = home
        .exec("sys", &["systemctl", "--failed", "--plain", "--no-legend"])?
        .text();
    ensure!(state.text() == "running", "{}: {failed}", state.text());
    let machine = home.vm("sys")?.machine;
    ensure!(
        machine.is_some_and(|machine| machine.init.as_deref() == Some("systemd")),
        "the init is not systemd"
    );
    // Through systemd's own power-off, well within its grace.
    let since = Instant::now();
    home.banger(["vm", "stop", "sys", "--grace", "60s"])?.ok()?;
    ensure!(
        since.elapsed() < Duration::from_secs(50),
        "it took {:?}",
        since.elapsed()
    );
    home.end()
}

fn another_init(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Init])?;
    home.create(backend, Image::Init, "init", &["--wait", "init"])?;
    // busybox's init shortens its own name.
    let first = home.sh("init", "cat /proc/1/cmdline | tr '\\0' ' '")?;
    ensure!(first == "init" || first == "/sbin/init", "PID 1 is {first}");
    let machine = home.vm("init")?.machine;
    ensure!(
        machine.is_some_and(|machine| machine.init.as_deref() == Some("sysvinit")),
        "the init is another one"
    );
    home.banger(["vm", "stop", "init", "--grace", "60s"])?.ok()?;
    home.banger(["vm", "start", "init"])?.ok()?;
    // Started, stopped in good order, and started again.
    let told = home.sh("init", "sleep 1; cat /root/by-init")?;
    ensure!(told == "started\nstopped\nstarted", "{told}");
    home.end()
}

fn one_static_program_is_enough(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::OneProgram])?;
    home.create(backend, Image::OneProgram, "one", &[])?;
    let output = home.exec("one", &["/busybox", "echo", "hello"])?.ok()?;
    ensure!(output.text() == "hello", "{}", output.text());
    home.exec("one", &["sh"])?
        .exited(127)?
        .saying("there is no program `sh`")?;
    home.end()
}

fn stop_and_start_keep_the_data(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "keep", &[])?;
    // Not synced: a stop loses nothing all the same.
    home.sh("keep", "echo kept > /root/file; mkdir /etc/new; rm /bin/yes")?;
    home.banger(["vm", "stop", "keep"])?.ok()?;
    home.banger(["vm", "start", "keep"])?.ok()?;
    ensure!(home.sh("keep", "cat /root/file; ls -d /etc/new; ls /bin/yes || true")? == "kept\n/etc/new");
    home.end()
}

fn what_was_synced_survives_a_kill(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "kill", &[])?;
    home.sh(
        "kill",
        "dd if=/dev/urandom of=/root/file bs=1M count=4 conv=fsync 2>/dev/null; sync",
    )?;
    let sum = home.sh("kill", "md5sum < /root/file")?;
    home.banger(["vm", "kill", "kill"])?.ok()?;
    home.banger(["vm", "start", "kill"])?.ok()?;
    ensure!(home.sh("kill", "md5sum < /root/file")? == sum);
    home.end()
}

fn two_vms_of_one_image_at_once(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    std::thread::scope(|scope| {
        let make = |name| {
            let home = &home;
            scope.spawn(move || home.create(backend, Image::Busybox, name, &[]))
        };
        let (first, second) = (make("first"), make("second"));
        first.join().expect("a scenario's thread")?;
        second.join().expect("a scenario's thread")
    })?;
    home.sh("first", "echo mine > /root/file; sync")?;
    ensure!(home.sh("second", "ls /root")?.is_empty());
    let ids = [
        home.sh("first", "cat /etc/machine-id")?,
        home.sh("second", "cat /etc/machine-id")?,
    ];
    ensure!(ids[0] != ids[1], "both are {}", ids[0]);
    home.end()
}

fn a_guest_that_powers_itself_off(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "off", &[])?;
    // Its log is followed until the machine ends: that is the event to wait for.
    let log = home.command(["vm", "logs", "-f", "off"]).spawn()?;
    home.exec("off", &["poweroff"])?;
    log.wait_with_output()?;
    let vm = home.vm("off")?;
    ensure!(
        vm.phase.to_string() == "stopped" && vm.last_error.is_none(),
        "{vm:?}"
    );
    home.end()
}

fn a_disk_grows(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "grow", &["--disk-size", "1G"])?;
    let size = "df -m / | tail -n 1 | awk '{print $2}'";
    let before: u32 = home.sh("grow", size)?.parse()?;
    home.banger(["vm", "set", "grow", "--disk-size", "4G"])?
        .exited(4)?
        .saying("while the VM is stopped")?;
    home.banger(["vm", "stop", "grow"])?.ok()?;
    home.banger(["vm", "set", "grow", "--disk-size", "4G"])?.ok()?;
    home.banger(["vm", "start", "grow"])?.ok()?;
    let after: u32 = home.sh("grow", size)?.parse()?;
    ensure!(before < 1024 && after > 3500, "from {before} to {after} MiB");
    home.end()
}

fn a_guest_knows_its_name_and_the_time(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "named", &["--env", "COLOR=blue"])?;
    ensure!(
        home.sh("named", "hostname; cat /etc/hostname; echo $COLOR $LANG")? == "named\nnamed\nblue C.UTF-8"
    );
    if backend.is_real() {
        ensure!(home.sh("named", "env")?.lines().any(|line| line == VARIABLE));
    }
    let there: i64 = home.sh("named", "date +%s")?.parse()?;
    let here = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)?
        .as_secs();
    let apart = there - i64::try_from(here)?;
    ensure!(apart.abs() < 10, "its clock is {apart} s off");
    ensure!(home.sh("named", "ping -c 1 127.0.0.1 > /dev/null && echo up")? == "up");
    home.end()
}

fn a_whole_life(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "life", &["--no-start"])?;
    home.exec("life", &["true"])?
        .exited(125)?
        .saying("is stopped, not running")?;
    home.banger(["vm", "start", "life"])?.ok()?;
    home.banger(["vm", "start", "life"])?
        .ok()?
        .saying("VM life is already running")?;
    home.banger(["vm", "delete", "life"])?
        .exited(4)?
        .saying("banger vm delete -f life")?;
    let listed = home.banger(["ps", "--quiet"])?.ok()?.text();
    ensure!(listed == "life", "{listed}");
    home.banger(["vm", "restart", "life"])?.ok()?;
    home.exec("life", &["true"])?.ok()?;
    home.banger(["vm", "stop", "life"])?.ok()?;
    home.banger(["vm", "delete", "life"])?.ok()?;
    home.banger(["vm", "show", "life"])?
        .exited(3)?
        .saying("there is no VM `life`")?;
    home.end()
}

fn many_names(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    for name in ["a", "b", "c"] {
        home.create(backend, Image::Busybox, name, &["--no-start"])?;
    }
    let started = home.banger(["vm", "start", "c", "nobody", "a", "b"])?.exited(1)?;
    ensure!(started.text() == "c\na\nb", "{}", started.text());
    let started = started.saying("there is no VM `nobody`")?;
    ensure!(
        started.stderr.matches("error:").count() == 1,
        "{}",
        started.stderr
    );
    ensure!(home.banger(["ps", "--quiet"])?.ok()?.text() == "a\nb\nc");
    home.end()
}

fn what_does_not_run_is_pruned(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "on", &[])?;
    home.create(backend, Image::Busybox, "off", &["--no-start"])?;
    home.banger(["vm", "prune"])?
        .exited(1)?
        .saying("banger vm prune --yes")?;
    ensure!(home.banger(["vm", "prune", "--dry-run"])?.ok()?.text() == "off");
    // What stops while the question stands was not asked about.
    let mut asking = Terminal::start(home.command(["vm", "prune"]), 24, 80)?;
    asking.expect("Remove off?")?;
    home.banger(["vm", "stop", "on"])?.ok()?;
    asking.write("y\n")?;
    ensure!(asking.end()? == 0, "it failed");
    ensure!(home.banger(["vm", "list", "--quiet"])?.ok()?.text() == "on");
    ensure!(home.banger(["vm", "prune", "--yes"])?.ok()?.text() == "on");
    home.end()
}
