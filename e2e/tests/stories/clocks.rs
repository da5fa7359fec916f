//! A guest's clock is its host's: as fast, and at the same time.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use banger_e2e::{Backend, Home, Image};

use crate::{Story, in_guests};

pub(crate) const STORIES: &[Story] = &[in_guests("the_clock_is_the_hosts", the_clock)];

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
    let first = uptime(&home)?;
    std::thread::sleep(LONG);
    let second = uptime(&home)?;
    // Between its least and its most that the two askings allow.
    let guest = second.uptime - first.uptime;
    let least = guest / (second.after - first.before).as_secs_f64();
    let most = guest / (second.before - first.after).as_secs_f64();
    ensure!(
        least <= *RATE.end() && most >= *RATE.start(),
        "a guest's second is between {least:.4} and {most:.4} of ours"
    );
    is_the_hosts(&home)?;
    // Whatever became of it: who uses the guest finds it right.
    for wrong in ["2001-02-03 04:05:06", "2035-01-02 03:04:05"] {
        home.exec("vm", &["date", "-s", wrong])?.ok()?;
        is_the_hosts(&home).with_context(|| format!("after it was {wrong}"))?;
    }
    home.end()
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
