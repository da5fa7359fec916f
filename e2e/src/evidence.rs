//! What a scenario that failed leaves: the logs, consoles, databases and commands of its homes, below
//! `target/e2e/failed/NAME`. It stays until the scenario passes, and each failure replaces that of the run before.

mod found;

use std::cell::RefCell;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime};

use anyhow::{Context, Result};

use self::found::{DATABASE, DEPTH, LOG, MOST, found, is_of_database, shown, tails};
use crate::{place, processes, stalls};

/// Of how many scenarios something is kept; the oldest go first.
const SCENARIOS: usize = 60;

/// The name of the file with what the scenario ran.
const EVENTS: &str = "events.log";

thread_local! {
    static RUNNING: RefCell<Option<Arc<Scenario>>> = const { RefCell::new(None) };
}

/// A scenario that runs, with the homes that it has.
#[derive(Debug)]
pub struct Scenario {
    /// `target/e2e/failed`.
    failed: PathBuf,
    name: String,
    /// The homes that are there now.
    homes: Mutex<Vec<Arc<Record>>>,
    /// How many homes were kept.
    kept: AtomicUsize,
    /// Bytes that may still be kept.
    left: Mutex<u64>,
    /// What was wrong with the vsock device of one of its machines.
    stall: Mutex<Option<String>>,
}

/// What a home's programs did.
#[derive(Debug)]
pub(crate) struct Record {
    scenario: Option<Arc<Scenario>>,
    home: PathBuf,
    began: Instant,
    events: Mutex<String>,
}

/// Begins the scenario `name` on this thread.
///
/// # Errors
/// When there is no directory of built programs, below which evidence is kept.
pub fn begin(name: &str) -> Result<Arc<Scenario>> {
    let failed = place::shared()?.join("failed");
    let scenario = Scenario::new(failed, name);
    RUNNING.set(Some(Arc::clone(&scenario)));
    Ok(scenario)
}

impl Scenario {
    fn new(failed: PathBuf, name: &str) -> Arc<Self> {
        let scenario = Arc::new(Self {
            failed,
            name: name.to_owned(),
            homes: Mutex::default(),
            kept: AtomicUsize::new(0),
            left: Mutex::new(MOST),
            stall: Mutex::default(),
        });
        // Of a run that was killed.
        let _ = std::fs::remove_dir_all(scenario.gathered());
        scenario
    }

    /// Where homes are kept until it is known whether the scenario fails.
    fn gathered(&self) -> PathBuf {
        self.failed.join(format!(".{}.{}", self.name, std::process::id()))
    }

    /// Where the evidence is in the end.
    fn place(&self) -> PathBuf {
        self.failed.join(&self.name)
    }

    /// Ends a scenario that passed: nothing of it is kept, of earlier runs neither.
    pub fn passed(&self) {
        RUNNING.set(None);
        let _ = std::fs::remove_dir_all(self.gathered());
        let _ = std::fs::remove_dir_all(self.place());
    }

    /// Ends a scenario that failed, and gives where its evidence is and the ends of its logs.
    pub fn failed(&self, why: &str) -> String {
        RUNNING.set(None);
        let place = self.place();
        let kept = self.settle(why);
        self.prune();
        match kept {
            Ok(()) => format!("evidence: {}{}", place.display(), tails(&place)),
            Err(error) => format!("evidence: could not be kept: {error:#}"),
        }
    }

    fn settle(&self, why: &str) -> Result<()> {
        let (gathered, place) = (self.gathered(), self.place());
        std::fs::create_dir_all(&gathered).with_context(|| format!("create {}", gathered.display()))?;
        std::fs::write(gathered.join("error.txt"), why)?;
        if place.exists() {
            std::fs::remove_dir_all(&place).with_context(|| format!("remove {}", place.display()))?;
        }
        std::fs::rename(&gathered, &place).with_context(|| format!("create {}", place.display()))
    }

    /// Removes the oldest evidence beyond [`SCENARIOS`], and what scenarios that were killed had gathered.
    fn prune(&self) {
        let mut places: Vec<(SystemTime, PathBuf)> = Vec::new();
        for entry in std::fs::read_dir(&self.failed).into_iter().flatten().flatten() {
            let path = entry.path();
            let Ok(made) = entry.metadata().and_then(|metadata| metadata.modified()) else {
                continue;
            };
            let name = entry.file_name().to_string_lossy().into_owned();
            if !name.starts_with('.') {
                places.push((made, path));
            } else if !name
                .rsplit_once('.')
                .is_some_and(|(_, pid)| Path::new("/proc").join(pid).exists())
            {
                let _ = std::fs::remove_dir_all(path);
            }
        }
        places.sort();
        for (_, path) in places.iter().rev().skip(SCENARIOS) {
            let _ = std::fs::remove_dir_all(path);
        }
    }

    /// Keeps what its homes have and kills their programs: the scenario has taken too long, and fails by what it waits for.
    pub fn cut_off(&self) {
        let homes = lock(&self.homes).clone();
        for home in homes {
            home.event("the scenario took too long: its programs are killed");
            self.keep(&home);
            processes::kill(&home.home);
        }
    }

    /// What was wrong with QEMU's vsock device when a home of it went that had not ended as it should.
    pub fn stall(&self) -> Option<String> {
        lock(&self.stall).clone()
    }

    /// Copies the evidence of a home.
    fn keep(&self, record: &Record) {
        if let Some(stall) = stalls::device_of(&record.home) {
            record.event(&stall);
            lock(&self.stall).get_or_insert(stall);
        }
        let number = self.kept.fetch_add(1, Ordering::Relaxed) + 1;
        let to = self.gathered().join(format!("home-{number}"));
        // What cannot be copied must not hide why the scenario failed.
        if let Err(error) = self.copy(record, &to) {
            eprintln!("{}: the evidence is incomplete: {error:#}", self.name);
        }
    }

    fn copy(&self, record: &Record, to: &Path) -> Result<()> {
        std::fs::create_dir_all(to).with_context(|| format!("create {}", to.display()))?;
        std::fs::write(to.join(EVENTS), lock(&record.events).as_bytes())?;
        for dir in ["state", "run", "config"] {
            for path in found(&record.home.join(dir), DEPTH) {
                let below = path.strip_prefix(&record.home).unwrap_or(&path);
                let copy = to.join(below);
                std::fs::create_dir_all(copy.parent().unwrap_or(to))?;
                self.copy_file(&path, &copy)
                    .with_context(|| format!("copy {}", path.display()))?;
            }
        }
        Ok(())
    }

    /// The end of a file, as far as there is room.
    fn copy_file(&self, from: &Path, to: &Path) -> Result<()> {
        let mut file = File::open(from)?;
        let size = file.metadata()?.len();
        let mut left = lock(&self.left);
        let most = if is_of_database(from) { DATABASE } else { LOG };
        // The end of a database is none.
        if is_of_database(from) && size > most.min(*left) {
            return Ok(std::fs::write(to, format!("left out: {size} bytes\n"))?);
        }
        let part = size.min(most).min(*left);
        file.seek(SeekFrom::Start(size - part))?;
        *left -= std::io::copy(&mut file.take(part), &mut File::create(to)?)?;
        Ok(())
    }
}

impl Record {
    /// Of a home of the scenario that runs on this thread.
    pub(crate) fn of(home: &Path) -> Arc<Self> {
        let scenario = RUNNING.with_borrow(Clone::clone);
        let record = Arc::new(Self {
            scenario: scenario.clone(),
            home: home.to_owned(),
            began: Instant::now(),
            events: Mutex::default(),
        });
        if let Some(scenario) = scenario {
            lock(&scenario.homes).push(Arc::clone(&record));
        }
        record
    }

    /// Writes down what happened.
    pub(crate) fn event(&self, what: &str) {
        let at = self.began.elapsed().as_secs_f64();
        let mut events = lock(&self.events);
        // A scenario that asks in a loop may ask often.
        if events.len() < LOG as usize {
            // Writing to a string does not fail.
            let _ = writeln!(events, "{at:>9.3} {}", shown(what));
        }
    }

    /// The home is about to go. If it did not end as it should, what it has is kept.
    pub(crate) fn end(&self, well: bool) {
        let Some(scenario) = &self.scenario else { return };
        if !well {
            scenario.keep(self);
        }
        lock(&scenario.homes).retain(|home| home.home != self.home);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
