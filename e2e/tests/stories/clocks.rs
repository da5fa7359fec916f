//! A guest's clock is its host's: as fast, and at the same time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use banger_e2e::{Backend, Home, Image};

use crate::{Scenario, in_debian, in_guests};

pub(crate) const SCENARIOS: &[Scenario] = &[
    in_guests("the_clock_is_the_hosts", the_clock),
    in_debian("the_clock_is_the_hosts_on_a_busy_host", busy),
];

/// How long a guest's second is compared with the host's.
const LONG: Duration = Duration::from_secs(12);

/// How much faster or slower a guest may be.
const RATE: std::ops::RangeInclusive<f64> = 0.995..=1.005;

/// What a guest's clock may be off by, beside what it takes to ask: `date` has whole seconds.
const OFF: f64 = 1.1;

fn the_clock(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "vm", &[])?;
    is_the_hosts(&home)?;
    is_as_fast(&home, LONG)?;
    is_the_hosts(&home)?;
    // Whatever became of it: who uses the guest finds it right.
    for wrong in ["2001-02-03 04:05:06", "2035-01-02 03:04:05"] {
        home.exec("vm", &["date", "-s", wrong])?.ok()?;
        is_the_hosts(&home).with_context(|| format!("after it was {wrong}"))?;
    }
    home.end()
}

/// A guest that boots while its host has other work is given its time late and in pieces. One whose kernel takes that for a
/// counter that cannot be trusted counts the timer's ticks from then on, of which such a host drops some.
fn busy(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.banger(["vm", "list"])?.ok()?;
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..4 * std::thread::available_parallelism()?.get() {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        let seen = home
            .create(backend, Image::Busybox, "vm", &[])
            .and_then(|_| is_as_fast(&home, LONG / 3));
        over.store(true, Ordering::Relaxed);
        seen
    })?;
    if cfg!(target_arch = "x86_64") {
        let source = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
        let source = home.exec("vm", &["cat", source])?.ok()?.text().trim().to_owned();
        ensure!(source == "tsc", "the guest keeps time by {source}");
    }
    home.end()
}

/// Compares a guest's seconds with the host's.
fn is_as_fast(home: &Home, long: Duration) -> Result<()> {
    let first = uptime(home)?;
    std::thread::sleep(long);
    let second = uptime(home)?;
    // Between its least and its most that the two askings allow.
    let guest = second.uptime - first.uptime;
    let least = guest / (second.after - first.before).as_secs_f64();
    let most = guest / (second.before - first.after).as_secs_f64();
    ensure!(
        least <= *RATE.end() && most >= *RATE.start(),
        "a guest's second is between {least:.4} and {most:.4} of ours"
    );
    Ok(())
}

struct Uptime {
    before: Instant,
    uptime: f64,
    after: Instant,
}

/// Seconds since the guest's kernel started, and when it was asked.
fn uptime(home: &Home) -> Result<Uptime> {
    let before = Instant::now();
    let told = home.exec("vm", &["cat", "/proc/uptime"])?.ok()?.text().to_owned();
    let uptime = told.split(' ').next().context("an uptime")?.parse()?;
    Ok(Uptime {
        before,
        uptime,
        after: Instant::now(),
    })
}

fn is_the_hosts(home: &Home) -> Result<()> {
    let now = || {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map(|since| since.as_secs_f64())
    };
    let before = now()?;
    let told = home.exec("vm", &["date", "+%s"])?.ok()?.text().to_owned();
    let (guest, after): (f64, f64) = (told.trim().parse()?, now()?);
    ensure!(
        guest > before - OFF && guest < after + OFF,
        "it is {guest} in the guest, and between {before} and {after} here"
    );
    Ok(())
}
