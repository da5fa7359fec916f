//! What a scenario that failed leaves: the logs, consoles, databases and commands of its homes, below
//! `target/e2e/failed/NAME`. It stays until the scenario passes, and each failure replaces that of the run before.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime};

use anyhow::{Context, Result};

use crate::{place, processes, stalls};

/// How much of the end of a log is kept.
const LOG: u64 = 1 << 20;
/// A database, and what belongs to it, is kept whole up to this size.
const DATABASE: u64 = 16 << 20;
/// How much is kept of a scenario.
const MOST: u64 = 48 << 20;
/// Of how many scenarios something is kept; the oldest go first.
const SCENARIOS: usize = 60;
/// How deep below `state` and `run` logs lie: `run/m/ID/console.log`.
const DEPTH: usize = 4;
/// How many lines of a log are printed, and of how many logs of a home.
const LINES: usize = 25;
const PRINTED: usize = 8;

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

fn is_of_database(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    [".db", ".db-wal", ".db-shm"]
        .iter()
        .any(|end| name.ends_with(end))
}

fn is_evidence(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let is_text = [".log", ".log.1", ".toml"].iter().any(|end| name.ends_with(end));
    is_text || is_of_database(path)
}

/// Logs, databases and configuration below a directory. No links: a home may have some to what is not its own.
fn found(dir: &Path, depth: usize) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let Ok(kind) = entry.file_type() else { continue };
        let path = entry.path();
        if kind.is_dir() && depth > 1 {
            all.extend(found(&path, depth - 1));
        } else if kind.is_file() && is_evidence(&path) {
            all.push(path);
        }
    }
    all.sort();
    all
}

/// The ends of the logs in the evidence.
fn tails(place: &Path) -> String {
    let mut text = String::new();
    let logs = found(place, DEPTH + 2);
    let is_log = |path: &&PathBuf| path.to_string_lossy().ends_with(".log");
    // The daemons first: what a scenario expected and did not see seldom has the reason.
    let (daemons, others): (Vec<_>, Vec<_>) = logs
        .iter()
        .filter(is_log)
        .partition(|path| path.ends_with("bangerd.log"));
    for path in daemons.into_iter().chain(others).take(PRINTED) {
        let Ok(mut file) = File::open(path) else { continue };
        let mut bytes = Vec::new();
        if file.read_to_end(&mut bytes).is_err() || bytes.is_empty() {
            continue;
        }
        let content = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = content.lines().collect();
        let last = &lines[lines.len().saturating_sub(LINES)..];
        let name = path.strip_prefix(place).unwrap_or(path).display();
        let _ = write!(text, "\nthe end of {name}:");
        for line in last {
            let _ = write!(text, "\n  {}", shown(line));
        }
    }
    text
}

/// A line without what a terminal would take for more than text: guests and images wrote some of it.
fn shown(line: &str) -> String {
    let is_plain = |char: char| !char.is_control() || char == '\t';
    line.chars()
        .map(|char| if is_plain(char) { char } else { '\u{fffd}' })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A home as a scenario leaves it.
    fn home() -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        for (path, content) in [
            ("state/bangerd.log", "daemon says\n".repeat(LINES + 9)),
            ("state/banger.db", "rows".to_owned()),
            ("run/m/ID/console.log", "kernel says \x1b[31m\n".to_owned()),
            ("run/m/ID/vmm.log", "vmm says\n".to_owned()),
            ("state/vms/OLD/console.log", "earlier\n".to_owned()),
            ("state/vms/OLD/disk.ext4", "no evidence".to_owned()),
        ] {
            let path = home.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        home
    }

    fn record(scenario: &Arc<Scenario>, home: &Path) -> Arc<Record> {
        RUNNING.set(Some(Arc::clone(scenario)));
        Record::of(home)
    }

    #[test]
    fn a_failure_leaves_what_its_homes_had_until_the_scenario_passes() {
        let (dir, home) = (tempfile::tempdir().unwrap(), home());
        let scenario = Scenario::new(dir.path().to_owned(), "fake::x");
        let record = record(&scenario, home.path());
        record.event("`banger vm list` exited with 1");
        record.end(false);
        let said = scenario.failed("it failed");
        let place = dir.path().join("fake::x");
        for file in [
            "error.txt",
            "home-1/events.log",
            "home-1/state/bangerd.log",
            "home-1/state/banger.db",
            "home-1/run/m/ID/console.log",
            "home-1/run/m/ID/vmm.log",
            "home-1/state/vms/OLD/console.log",
        ] {
            assert!(place.join(file).exists(), "{file}");
        }
        assert!(!place.join("home-1/state/vms/OLD/disk.ext4").exists());
        assert!(said.contains(&place.display().to_string()), "{said}");
        assert_eq!(said.matches("daemon says").count(), LINES);
        for words in ["kernel says \u{fffd}[31m", "vmm says", "exited with 1"] {
            assert!(said.contains(words), "no {words} in {said}");
        }
        let again = Scenario::new(dir.path().to_owned(), "fake::x");
        again.passed();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_home_that_ended_well_leaves_nothing() {
        let (dir, home) = (tempfile::tempdir().unwrap(), home());
        let scenario = Scenario::new(dir.path().to_owned(), "fake::x");
        record(&scenario, home.path()).end(true);
        scenario.failed("another home failed");
        assert!(!dir.path().join("fake::x/home-1").exists());
    }

    #[test]
    fn what_is_kept_has_bounds() {
        let (dir, home) = (tempfile::tempdir().unwrap(), home());
        let long = vec![b'x'; usize::try_from(LOG).unwrap() + 5];
        std::fs::write(
            home.path().join("state/bangerd.log"),
            [&long[..], b"END"].concat(),
        )
        .unwrap();
        let scenario = Scenario::new(dir.path().to_owned(), "fake::x");
        record(&scenario, home.path()).end(false);
        scenario.failed("it failed");
        let kept = std::fs::read(dir.path().join("fake::x/home-1/state/bangerd.log")).unwrap();
        assert!(kept.len() as u64 == LOG && kept.ends_with(b"END"));
        for number in 0..SCENARIOS + 3 {
            let scenario = Scenario::new(dir.path().to_owned(), &format!("fake::{number}"));
            scenario.failed("it failed");
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), SCENARIOS);
        // No room is left for more.
        let scenario = Scenario::new(dir.path().to_owned(), "fake::full");
        *lock(&scenario.left) = 3;
        record(&scenario, home.path()).end(false);
        scenario.failed("it failed");
        let copied = found(&dir.path().join("fake::full/home-1/run"), DEPTH);
        assert!(copied.iter().all(|path| path.metadata().unwrap().len() <= 3));
    }
}
