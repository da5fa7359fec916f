//! What a failed scenario leaves.

use super::found::LINES;
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
