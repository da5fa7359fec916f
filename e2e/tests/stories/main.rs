//! Stories of banger's use, told with the real programs on every backend that can tell them.
//!
//! `cargo test -p banger-e2e -- tcg::` tells those that boot real kernels under emulation. A backend that is not here
//! reports its stories as ignored, with the reason; `BANGER_REQUIRE=firecracker` makes that an error.

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
use banger_e2e::evidence::{self, Scenario};
use banger_e2e::{Backend, ROOT, absence_of, stalls};
use banger_needs::{Unmet, trial};
use libtest_mimic::{Arguments, Failed, Trial};

/// A story and the backends that can tell it.
struct Story {
    name: &'static str,
    backends: &'static [Backend],
    /// Programs and rights that not every host has.
    needs: [Option<&'static str>; 3],
    /// How long it may take.
    longest: Duration,
    tell: fn(Backend) -> Result<()>,
}

/// How long a story may take that says nothing else: several times what the longest take here, two at once.
const LONGEST: Duration = Duration::from_secs(300);

/// How long a story that took too long may take to see that its programs are gone. Then its process is ended, if it has one
/// of its own, as under nextest.
const ENDING: Duration = Duration::from_secs(40);

impl Story {
    const fn told(name: &'static str, backends: &'static [Backend], tell: fn(Backend) -> Result<()>) -> Self {
        Self {
            name,
            backends,
            needs: [None; 3],
            longest: LONGEST,
            tell,
        }
    }

    /// The same, which may take longer than others.
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

/// A story that every backend tells.
const fn everywhere(name: &'static str, tell: fn(Backend) -> Result<()>) -> Story {
    Story::told(name, &Backend::ALL, tell)
}

/// A story that needs a kernel.
const fn in_guests(name: &'static str, tell: fn(Backend) -> Result<()>) -> Story {
    Story::told(name, &[Backend::Tcg, Backend::Firecracker], tell)
}

/// A story that needs Debian's own kernel.
const fn in_debian(name: &'static str, tell: fn(Backend) -> Result<()>) -> Story {
    Story::told(name, &[Backend::Tcg], tell)
}

/// A story about the host's side alone.
const fn on_the_host(name: &'static str, tell: fn(Backend) -> Result<()>) -> Story {
    Story::told(name, &[Backend::Fake], tell)
}

/// All stories, as the modules tell them.
const ALL: &[&[Story]] = &[
    api_clients::STORIES,
    applying::STORIES,
    filtered_work::STORIES,
    hostile_repository::STORIES,
    hostile_pipes::STORIES,
    workspaces::STORIES,
    workspace_trips::STORIES,
    lives::STORIES,
    identity::STORIES,
    secrets::STORIES,
    hostile_terminal::STORIES,
    hostile_images::STORIES,
    hostile_neighbour::STORIES,
    hostile_trust::STORIES,
    networks::STORIES,
    editing::STORIES,
    egress::STORIES,
    moving_hosts::STORIES,
    sleeping_hosts::STORIES,
    ipv6_only::STORIES,
    withdrawn::STORIES,
    packages::STORIES,
    rootless::STORIES,
    real_networks::STORIES,
    clocks::STORIES,
    commands::STORIES,
    ssh::STORIES,
    ssh_files::STORIES,
    ssh_forwards::STORIES,
    ssh_own_server::STORIES,
    ssh_terminals::STORIES,
    ssh_clients::STORIES,
    copying::STORIES,
    broken_copies::STORIES,
    hostile_copies::STORIES,
    syncing::STORIES,
    daemon::STORIES,
    faults::STORIES,
    first_use::STORIES,
    forwards::STORIES,
    habits::STORIES,
    setup::STORIES,
    installing::STORIES,
    upkeep::STORIES,
    forwarded_streams::STORIES,
    hostile_state::STORIES,
    promises::STORIES,
    full_disks::STORIES,
    hostile_guest::STORIES,
    images::STORIES,
    builds::STORIES,
    docker::STORIES,
    documents::STORIES,
    catalogs::STORIES,
    image_catalogs::STORIES,
    pulls::STORIES,
    pull_forms::STORIES,
    pull_logins::STORIES,
    pulled_guests::STORIES,
    pull_faults::STORIES,
    repositories::STORIES,
    sessions::STORIES,
    session_clients::STORIES,
    session_lives::STORIES,
    session_output::STORIES,
    system::STORIES,
];

fn main() -> ExitCode {
    let mut args = Arguments::from_args();
    // Stories wait more than they work: two at once left half of two cores idle.
    args.test_threads.get_or_insert(3);
    let mut trials = Vec::new();
    for backend in Backend::ALL {
        // Asking takes as long as some programs take to start, so only who needs the answer asks.
        let absence = OnceCell::new();
        for story in ALL
            .iter()
            .copied()
            .flatten()
            .filter(|story| story.backends.contains(&backend))
        {
            let name = format!("{}::{}", backend.name(), story.name);
            if !is_asked_for(&args, &name) {
                // libtest-mimic leaves it out, and counts it.
                trials.push(Trial::test(name, || Err("it was not asked for".into())));
                continue;
            }
            let absent = absence.get_or_init(|| backend.absence()).clone();
            let lack = match absent {
                Ok(None) => first_lack(story),
                absent => absent,
            };
            let (told, story) = (name.clone(), (story.tell, story.longest));
            trials.push(trial(name, lack, move || told_to_the_end(&told, story, backend)));
        }
    }
    let conclusion = libtest_mimic::run(&args, trials);
    for line in stalls::repeated().unwrap_or_default() {
        eprintln!("repeated, or refused to be: {line}");
    }
    conclusion.exit_code()
}

/// What a story lacks here first, if it lacks something.
fn first_lack(story: &Story) -> Result<Option<String>, Unmet> {
    let needs = story.needs.into_iter().rev().flatten();
    let lacks = needs.map(absence_of);
    lacks
        .into_iter()
        .find(|lack| !matches!(lack, Ok(None)))
        .unwrap_or(Ok(None))
}

/// Whether the command line asks for a story: to be told, or to be listed.
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

/// Tells a story, and once more if what failed was QEMU's vsock device.
fn told_to_the_end(name: &str, story: Told, backend: Backend) -> Result<(), Failed> {
    let failure = match told_once(name, story, backend) {
        Ok(()) => return Ok(()),
        Err(failure) => failure,
    };
    let Some(stall) = failure.stall.filter(|_| backend == Backend::Tcg) else {
        return Err(failure.words.into());
    };
    if stalls::repeat(name, &stall).unwrap_or(false) {
        eprintln!("{name} is repeated: {stall}\n{}", failure.words);
        told_once(name, story, backend).map_err(|failure| failure.words.into())
    } else {
        let words = failure.words;
        let most = stalls::AT_MOST;
        Err(format!("{stall}; {most} stories of this run were repeated for that already\n{words}").into())
    }
}

/// What is told, and how long it may take.
type Told = (fn(Backend) -> Result<()>, Duration);

/// Why a story failed, with the ends of its logs.
struct Failure {
    words: String,
    /// What was wrong with the vsock device, if that was it.
    stall: Option<String>,
}

fn told_once(name: &str, (tell, longest): Told, backend: Backend) -> Result<(), Failure> {
    let scenario = evidence::begin(name).map_err(|error| Failure {
        words: format!("{error:#}"),
        stall: None,
    })?;
    let (ended, is_over) = mpsc::channel::<()>();
    let watched = &scenario;
    let outcome = std::thread::scope(|scope| {
        let watch = scope.spawn(move || cut_off(watched, longest, &is_over));
        let outcome = catch_unwind(AssertUnwindSafe(|| tell(backend)));
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
fn cut_off(scenario: &Scenario, longest: Duration, is_over: &mpsc::Receiver<()>) -> bool {
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
