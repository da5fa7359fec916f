//! Scenarios: banger is used as its users do, with the real programs, on every backend that a scenario is for.
//!
//! `cargo test -p banger-e2e -- tcg::` runs those that boot real kernels under emulation. A backend that is not here
//! reports its scenarios as ignored, with the reason; `BANGER_REQUIRE=firecracker` makes that an error.

mod api_clients;
mod applying;
mod broken_copies;
mod builds;
mod catalogs;
mod clocks;
mod commands;
mod copying;
mod daemon;
mod docker;
mod documents;
mod editing;
mod egress;
mod faults;
mod filtered_work;
mod first_use;
mod forwarded_streams;
mod forwarding;
mod forwards;
mod full_disks;
mod habits;
mod hints;
mod hostile_copies;
mod hostile_guest;
mod hostile_images;
mod hostile_neighbour;
mod hostile_pipes;
mod hostile_repository;
mod hostile_state;
mod hostile_terminal;
mod hostile_trust;
mod identity;
mod image_catalogs;
mod images;
mod installing;
mod ipv6_only;
mod lives;
mod moving_hosts;
mod networks;
mod packages;
mod promises;
mod pull_faults;
mod pull_forms;
mod pull_logins;
mod pulled_guests;
mod pulling;
mod pulls;
mod real_networks;
mod repositories;
mod rootless;
mod secrets;
mod session_clients;
mod session_lives;
mod session_output;
mod sessions;
mod setup;
mod sleeping_hosts;
mod ssh;
mod ssh_clients;
mod ssh_files;
mod ssh_forwards;
mod ssh_own_server;
mod ssh_terminals;
mod syncing;
mod system;
mod upkeep;
mod withdrawn;
mod workspace_trips;
mod workspaces;

use std::cell::OnceCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use anyhow::Result;
use banger_e2e::evidence;
use banger_e2e::{Backend, ROOT, absence_of, stalls};
use banger_needs::{Unmet, trial};
use libtest_mimic::{Arguments, Failed, Trial};

/// A scenario and the backends that it is for.
struct Scenario {
    name: &'static str,
    backends: &'static [Backend],
    /// Programs and rights that not every host has.
    needs: [Option<&'static str>; 3],
    /// How long it may take.
    longest: Duration,
    run: fn(Backend) -> Result<()>,
}

/// How long a scenario may take unless it specifies another limit: several times what the longest take here, two at once.
const LONGEST: Duration = Duration::from_secs(300);

/// How long a scenario that took too long may take to see that its programs are gone. Then its process is ended, if it has one
/// of its own, as under nextest.
const ENDING: Duration = Duration::from_secs(40);

impl Scenario {
    const fn on(name: &'static str, backends: &'static [Backend], run: fn(Backend) -> Result<()>) -> Self {
        Self {
            name,
            backends,
            needs: [None; 3],
            longest: LONGEST,
            run,
        }
    }

    /// The same with another limit.
    const fn taking(mut self, longest: Duration) -> Self {
        self.longest = longest;
        self
    }

    /// The same, which is ignored for other users than root.
    const fn by_root(self) -> Self {
        self.with(ROOT)
    }

    /// The same, which is ignored where there is no such program.
    const fn with(mut self, program: &'static str) -> Self {
        self.needs = [Some(program), self.needs[0], self.needs[1]];
        self
    }
}

/// A scenario for every backend.
const fn everywhere(name: &'static str, run: fn(Backend) -> Result<()>) -> Scenario {
    Scenario::on(name, &Backend::ALL, run)
}

/// A scenario that needs a kernel.
const fn in_guests(name: &'static str, run: fn(Backend) -> Result<()>) -> Scenario {
    Scenario::on(name, &[Backend::Tcg, Backend::Firecracker], run)
}

/// A scenario that needs Debian's own kernel.
const fn in_debian(name: &'static str, run: fn(Backend) -> Result<()>) -> Scenario {
    Scenario::on(name, &[Backend::Tcg], run)
}

/// A scenario about the host's side alone.
const fn on_the_host(name: &'static str, run: fn(Backend) -> Result<()>) -> Scenario {
    Scenario::on(name, &[Backend::Fake], run)
}

/// All scenarios, by module.
const ALL: &[&[Scenario]] = &[
    api_clients::SCENARIOS,
    applying::SCENARIOS,
    filtered_work::SCENARIOS,
    hostile_repository::SCENARIOS,
    hostile_pipes::SCENARIOS,
    workspaces::SCENARIOS,
    workspace_trips::SCENARIOS,
    lives::SCENARIOS,
    identity::SCENARIOS,
    secrets::SCENARIOS,
    hostile_terminal::SCENARIOS,
    hostile_images::SCENARIOS,
    hostile_neighbour::SCENARIOS,
    hostile_trust::SCENARIOS,
    networks::SCENARIOS,
    editing::SCENARIOS,
    egress::SCENARIOS,
    moving_hosts::SCENARIOS,
    sleeping_hosts::SCENARIOS,
    ipv6_only::SCENARIOS,
    withdrawn::SCENARIOS,
    packages::SCENARIOS,
    rootless::SCENARIOS,
    real_networks::SCENARIOS,
    clocks::SCENARIOS,
    commands::SCENARIOS,
    ssh::SCENARIOS,
    ssh_files::SCENARIOS,
    ssh_forwards::SCENARIOS,
    ssh_own_server::SCENARIOS,
    ssh_terminals::SCENARIOS,
    ssh_clients::SCENARIOS,
    copying::SCENARIOS,
    broken_copies::SCENARIOS,
    hints::SCENARIOS,
    hostile_copies::SCENARIOS,
    syncing::SCENARIOS,
    daemon::SCENARIOS,
    faults::SCENARIOS,
    first_use::SCENARIOS,
    forwards::SCENARIOS,
    habits::SCENARIOS,
    setup::SCENARIOS,
    installing::SCENARIOS,
    upkeep::SCENARIOS,
    forwarded_streams::SCENARIOS,
    hostile_state::SCENARIOS,
    promises::SCENARIOS,
    full_disks::SCENARIOS,
    hostile_guest::SCENARIOS,
    images::SCENARIOS,
    builds::SCENARIOS,
    docker::SCENARIOS,
    documents::SCENARIOS,
    catalogs::SCENARIOS,
    image_catalogs::SCENARIOS,
    pulls::SCENARIOS,
    pull_forms::SCENARIOS,
    pull_logins::SCENARIOS,
    pulled_guests::SCENARIOS,
    pull_faults::SCENARIOS,
    repositories::SCENARIOS,
    sessions::SCENARIOS,
    session_clients::SCENARIOS,
    session_lives::SCENARIOS,
    session_output::SCENARIOS,
    system::SCENARIOS,
];

fn main() -> ExitCode {
    let mut args = Arguments::from_args();
    // Scenarios wait more than they work: two at once left half of two cores idle.
    args.test_threads.get_or_insert(3);
    let mut trials = Vec::new();
    for backend in Backend::ALL {
        // Asking takes as long as some programs take to start, so only who needs the answer asks.
        let absence = OnceCell::new();
        for scenario in ALL
            .iter()
            .copied()
            .flatten()
            .filter(|scenario| scenario.backends.contains(&backend))
        {
            let name = format!("{}::{}", backend.name(), scenario.name);
            if !is_asked_for(&args, &name) {
                // libtest-mimic leaves it out, and counts it.
                trials.push(Trial::test(name, || Err("it was not asked for".into())));
                continue;
            }
            let absent = absence.get_or_init(|| backend.absence()).clone();
            let lack = match absent {
                Ok(None) => first_lack(scenario),
                absent => absent,
            };
            let (named, run) = (name.clone(), (scenario.run, scenario.longest));
            trials.push(trial(name, lack, move || run_to_the_end(&named, run, backend)));
        }
    }
    let conclusion = libtest_mimic::run(&args, trials);
    for line in stalls::repeated().unwrap_or_default() {
        eprintln!("repeated, or refused to be: {line}");
    }
    conclusion.exit_code()
}

/// What a scenario lacks here first, if it lacks something.
fn first_lack(scenario: &Scenario) -> Result<Option<String>, Unmet> {
    let needs = scenario.needs.into_iter().rev().flatten();
    let lacks = needs.map(absence_of);
    lacks
        .into_iter()
        .find(|lack| !matches!(lack, Ok(None)))
        .unwrap_or(Ok(None))
}

/// Whether the command line asks for a scenario to be run or listed.
fn is_asked_for(args: &Arguments, name: &str) -> bool {
    let fits = |filter: &String| {
        // Before the name of an ignored one is the reason.
        let filter = match filter.starts_with('[') {
            true => filter.rsplit("] ").next().unwrap_or(filter),
            false => filter,
        };
        match args.exact {
            true => name == filter,
            false => name.contains(filter),
        }
    };
    args.filter.as_ref().is_none_or(fits) && !args.skip.iter().any(fits)
}

/// Runs a scenario, and repeats it if QEMU's vsock device failed.
fn run_to_the_end(name: &str, run: Run, backend: Backend) -> Result<(), Failed> {
    let failure = match run_once(name, run, backend) {
        Ok(()) => return Ok(()),
        Err(failure) => failure,
    };
    let Some(stall) = failure.stall.filter(|_| backend == Backend::Tcg) else {
        return Err(failure.words.into());
    };
    if stalls::repeat(name, &stall).unwrap_or(false) {
        eprintln!("{name} is repeated: {stall}\n{}", failure.words);
        run_once(name, run, backend).map_err(|failure| failure.words.into())
    } else {
        let words = failure.words;
        let most = stalls::AT_MOST;
        Err(format!("{stall}; {most} scenarios of this run were repeated for that already\n{words}").into())
    }
}

/// A scenario's function, and how long it may take.
type Run = (fn(Backend) -> Result<()>, Duration);

/// Why a scenario failed, with the ends of its logs.
struct Failure {
    words: String,
    /// What was wrong with the vsock device, if that was it.
    stall: Option<String>,
}

fn run_once(name: &str, (run, longest): Run, backend: Backend) -> Result<(), Failure> {
    let scenario = evidence::begin(name).map_err(|error| Failure {
        words: format!("{error:#}"),
        stall: None,
    })?;
    let (ended, is_over) = mpsc::channel::<()>();
    let watched = &scenario;
    let outcome = std::thread::scope(|scope| {
        let watch = scope.spawn(move || cut_off(watched, longest, &is_over));
        let outcome = catch_unwind(AssertUnwindSafe(|| run(backend)));
        drop(ended);
        (outcome, watch.join().unwrap_or(false))
    });
    let error = match outcome {
        (Ok(Ok(())), false) => {
            scenario.passed();
            return Ok(());
        }
        (Ok(Ok(())), true) => format!("it took longer than {} s", longest.as_secs()),
        (Ok(Err(error)), true) => format!("it took longer than {} s: {error:#}", longest.as_secs()),
        (Ok(Err(error)), false) => format!("{error:#}"),
        (Err(panic), _) => panic_words(&*panic),
    };
    let stall = scenario.stall();
    let stall =
        stall.or_else(|| stalls::is_reported(&error).then(|| "the daemon reached no agent".to_owned()));
    let evidence = scenario.failed(&error);
    Err(Failure {
        words: format!("{error}\n{evidence}"),
        stall,
    })
}

/// Waits for the end of a scenario, and cuts it off when it takes too long. Whether it did is returned.
fn cut_off(scenario: &evidence::Scenario, longest: Duration, is_over: &mpsc::Receiver<()>) -> bool {
    if is_over.recv_timeout(longest) != Err(RecvTimeoutError::Timeout) {
        return false;
    }
    scenario.cut_off();
    if is_over.recv_timeout(ENDING) == Err(RecvTimeoutError::Timeout) && std::env::var_os("NEXTEST").is_some()
    {
        let why = format!("it took longer than {} s, and does not end", longest.as_secs());
        eprintln!("{why}\n{}", scenario.failed(&why));
        std::process::exit(1);
    }
    true
}

fn panic_words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    format!("it panicked: {}", text.unwrap_or("without a word"))
}
